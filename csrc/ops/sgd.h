// One epoch of stochastic gradient descent on sparse ratings: the masked squared or logistic cost with L2, one rating
// at a time.
//
// For a rating y of user u and item i with weight w, with e = y - z for the squared cost and y - sigmoid(z) for the
// logistic one, z = offset + b_u + b_i + p_u.q_i:
//     p_u <- (p_u + lr w e q_i) / (1 + lr r_u)        b_u <- (b_u + lr_b w e) / (1 + lr_b s_u)
//     q_i <- (q_i + lr w e p_u) / (1 + lr r_i)        b_i <- (b_i + lr_b w e) / (1 + lr_b s_i)
// a gradient step on the error and a proximal step on the penalty (J. Duchi and Y. Singer, JMLR 10, 2009), which no
// penalty makes unstable. The rates r and s are what one of a row's ratings pays of its penalty: with n ratings and
// reg n^a |p|^2 / 2 to pay in an epoch, r = reg n^(a - 1).
//
// Ratings are laid out as tiles, user block x item block; tiles of one round share no block, so a round's tiles run in
// parallel and the result does not depend on the number of threads. Inside a tile the ratings of one user form a run,
// during which p_u stays in registers or L1; runs are sorted by length, and `interleave` of them advance together,
// which hides the latency of the dot products. Two interleaved runs may meet at one item: both errors are then taken
// before either step, and both steps are applied.
//
// Cost per rating at stride s: 2s (dot) + 6s (both steps) flops; 8s bytes of item row through L1/L2 (read and write),
// 8s / run length bytes of user row, 6 bytes of rating. Bound by L2 traffic and dot latency, not by arithmetic. The
// logistic cost adds about 40 flops for the sigmoid and the cost itself, on all interleaved runs at once.
#pragma once

#include <cstdint>
#include <vector>

#include "core/aligned.h"
#include "core/parallel.h"
#include "core/view.h"
#include "math/loss.h"

namespace fastcf {

struct SgdRun {
    std::int32_t user;    // row in the permuted user order
    std::int32_t length;  // ratings in the run
};

// Ratings in training order. Group g of `interleave` runs stores the steps all its runs share as
// [step][run], then what is left of each run, one run after the other.
struct SgdTiles {
    std::int64_t n_users = 0;
    std::int64_t n_items = 0;
    std::int64_t n_ratings = 0;
    int interleave = 1;
    std::vector<std::int32_t> user_position, item_position;  // row -> position in the permuted order
    std::vector<std::int32_t> user_bounds, item_bounds;      // block b holds positions [bounds[b], bounds[b + 1])
    std::vector<std::int64_t> rating_offsets, run_offsets;   // of tile (ub, ib) at ub * item_blocks + ib
    std::vector<SgdRun> runs;
    AlignedBuffer<std::uint16_t> items;  // position within the item block
    AlignedBuffer<float> values;         // rating - offset; labels themselves for the logistic cost
    AlignedBuffer<float> weights;        // empty when every weight is 1

    int user_blocks() const { return static_cast<int>(user_bounds.size()) - 1; }
    int item_blocks() const { return static_cast<int>(item_bounds.size()) - 1; }
};

// Parameters in the permuted order; rows of `stride` floats (a multiple of 16, zero padded), 64-byte aligned.
struct SgdState {
    std::int64_t stride = 0;
    AlignedBuffer<float> user_factors, item_factors;
    AlignedBuffer<float> user_bias, item_bias;
    AlignedBuffer<float> user_rate, item_rate;            // r
    AlignedBuffer<float> user_bias_rate, item_bias_rate;  // s
};

struct SgdStep {
    float learning_rate = 0;       // of factors: its unit is one over the ratings'
    float bias_learning_rate = 0;  // of biases: a pure number
    bool bias = true;
    Loss loss = Loss::squared;
    float offset = 0;              // of every prediction; for the logistic cost only, see SgdTiles::values
    std::uint64_t round_seed = 0;  // orders the rounds of this epoch
};

// A tile of an epoch and the tasks that must come before it; see core/parallel.h.
struct SgdTask {
    int user_block, item_block;
    TaskAfter after;
};

// An epoch's tiles in an order in which they may run one by one: rounds in seeded order, and in each round tiles that
// share no block.
std::vector<SgdTask> sgd_tasks(const SgdTiles& tiles, std::uint64_t round_seed);

// How many runs advance together for rows of this stride (a property of the machine's registers).
int sgd_interleave(std::int64_t stride);

// The grid: item blocks whose factor rows fit `kItemBlockBytes`, and enough blocks for parallel rounds. A function of
// the data's size and the stride alone. Positions come from seeded permutations. `item_offset` (n_items, or null)
// or else `global_offset` is subtracted from every rating. weights may be null.
SgdTiles build_sgd_tiles(const CsrView& ratings, const float* weights, const float* item_offset, float global_offset,
                         std::int64_t stride, std::uint64_t seed, int n_threads);

// Runs every tile once. Returns the sum of w e^2, or of w (softplus(z) - y z) for the logistic cost, each taken just
// before its own step. Deterministic.
// Throws Interrupted between tiles; the state then holds what was learnt so far.
double sgd_epoch(const SgdTiles& tiles, SgdState& state, const SgdStep& step, int n_threads);

}  // namespace fastcf
