// Synthetic ratings with the shape of real ones, generated straight into CSR: nothing is sorted globally, deduplicated
// or copied, so a hundred million ratings take seconds and no memory beside the result.
//
//   activity    c_u = 1 + log-normal, scaled so that the counts add up to n_ratings exactly (at most n_items each)
//   exposure    w_i ~ (rank_i + s n_items)^(-popularity), ranks in random order of the items
//   choice      a user's items are c_u draws without replacement with the weights w_i exp(choice p_u . q_i / signal)
//   true score  t_ui = mean + b_u + b_i + p_u . q_i
//   rating      nearest level to t_ui + noise * normal   (without levels: the sum itself)
//
// Every number is a function of (seed, user or item, position), so the result does not depend on the threads. Cost:
// O(n_ratings (n_factors + levels)) plus O(n_items) for each user who rates a large part of everything; where users
// choose by taste, O(n_items (n_factors + a logarithm and an exponential)) for every user.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastcf::ingest {

struct SynthOptions {
    std::int64_t n_users = 0;
    std::int64_t n_items = 0;
    std::int64_t n_ratings = 0;
    double popularity = 0;  // exponent of the items' power law
    double activity = 0;    // sigma of the users' log-normal
    double choice = 0;      // how much the taste of a user counts beside the exposure of an item; 0: not at all
    double mean = 0;
    double user_bias = 0;  // standard deviations
    double item_bias = 0;
    double signal = 0;
    double noise = 0;
    VectorView<const float> levels;  // ascending; empty: continuous ratings
    std::uint64_t seed = 0;
};

// What is written: sizes n_users + 1, n_ratings, n_ratings, n_ratings or 0 (no timestamps), and the model behind.
struct SynthRatings {
    VectorView<std::int64_t> indptr;
    VectorView<std::int32_t> indices;
    VectorView<float> values;
    VectorView<std::int64_t> timestamps;
    MatrixView<float> user_factors;
    MatrixView<float> item_factors;
    VectorView<float> user_bias;
    VectorView<float> item_bias;
    VectorView<float> exposure;  // of the items; sums to 1
};

// RMSE on the generated ratings of the true scores, and of mean and biases alone; both clipped to the scale.
struct SynthError {
    double score = 0;
    double biases = 0;
};

SynthError make_ratings(const SynthOptions& options, const SynthRatings& out, int n_threads);

}  // namespace fastcf::ingest
