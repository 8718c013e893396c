// Predictions of a factor model: at pairs, for whole users, and their error on stored ratings.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/view.h"

namespace fastcf {

// y_ui = offset_i + b_u + b_i + <p_u, q_i> (math/mf.h), offset_i = item_offset[i], or global_offset where it is empty.
// Row -1 stands for an unknown user or item: its factors and bias contribute 0, an unknown item's offset is
// global_offset.
struct FactorModel {
    MatrixView<const float> user_factors;  // (n_users, k)
    MatrixView<const float> item_factors;  // (n_items, k)
    VectorView<const float> user_bias;     // (n_users,) or empty: no bias
    VectorView<const float> item_bias;     // (n_items,) or empty: no bias
    VectorView<const float> item_offset;   // (n_items,) or empty: global_offset for every item
    float global_offset = 0.0f;
};

struct ErrorSums {
    double squared = 0.0;
    double absolute = 0.0;
    std::int64_t count = 0;

    void add(double weight, double error) {
        squared += weight * error * error;
        absolute += weight * std::abs(error);
    }
    ErrorSums& operator+=(const ErrorSums& other) {
        squared += other.squared;
        absolute += other.absolute;
        count += other.count;
        return *this;
    }
};

// All of these: float32 arithmetic in an order fixed by k and the instruction set, so that results are the same bits
// for any number of threads and a pair's prediction does not depend on the other pairs (but for rounding in
// predict_block on a GPU, where cuBLAS may choose by the number of rows). n_threads <= 0 means the default of the
// process. They throw std::invalid_argument for shapes that disagree and rows out of range.

// out[e] = y at (user_rows[e], item_rows[e]). Bound by fetching 2 k floats per pair; rows ahead are prefetched.
void predict_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                   VectorView<const std::int32_t> item_rows, VectorView<float> out, int n_threads);

// out(r, i) = y at (user_rows[r], i) for every item: (m, n_items). Bound by the multipliers or by writing `out`. Agrees
// with predict_pairs up to rounding (the inner product is summed in another order).
void predict_block(const FactorModel& model, VectorView<const std::int32_t> user_rows, MatrixView<float> out,
                   int n_threads);

// Sums of w (y - rating)^2 and w |y - rating| over the stored entries, y clipped to [low, high]; `weights` (one per
// entry) may be empty: all 1. Nothing is allocated per entry; sums are float64, added per chunk of entries in order and
// then over chunks in order.
ErrorSums evaluate_csr(const FactorModel& model, const CsrView& ratings, VectorView<const float> weights, int n_threads,
                       float low = -std::numeric_limits<float>::infinity(),
                       float high = std::numeric_limits<float>::infinity());

// The same over pairs; `weights` (one per pair) may be empty: all 1.
ErrorSums evaluate_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                         VectorView<const std::int32_t> item_rows, VectorView<const float> values,
                         VectorView<const float> weights, int n_threads,
                         float low = -std::numeric_limits<float>::infinity(),
                         float high = std::numeric_limits<float>::infinity());

// The sum over pairs of w (softplus(y) - value y), for predictions y of log-odds and labels in [0, 1] (math/loss.h);
// weights as above.
double log_loss_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                      VectorView<const std::int32_t> item_rows, VectorView<const float> values,
                      VectorView<const float> weights, int n_threads);

// What all of these, on every device, ask of a model and of row numbers.
inline void check_model(const FactorModel& model, const char* caller) {
    const std::int64_t n_users = model.user_factors.rows, n_items = model.item_factors.rows;
    check(model.user_factors.cols == model.item_factors.cols, caller,
          ": user_factors and item_factors must have as many columns; got ", model.user_factors.cols, " and ",
          model.item_factors.cols);
    check(model.user_bias.data == nullptr || model.user_bias.size == n_users, caller,
          ": user_bias must have one entry per user (", n_users, "); got ", model.user_bias.size);
    check(model.item_bias.data == nullptr || model.item_bias.size == n_items, caller,
          ": item_bias must have one entry per item (", n_items, "); got ", model.item_bias.size);
    check(model.item_offset.data == nullptr || model.item_offset.size == n_items, caller,
          ": item_offset must have one entry per item (", n_items, "); got ", model.item_offset.size);
}

inline void check_rows(const std::int32_t* rows, std::int64_t begin, std::int64_t end, std::int64_t limit,
                       const char* caller, const char* name) {
    for (std::int64_t e = begin; e < end; ++e)
        check(rows[e] >= -1 && rows[e] < limit, caller, ": ", name, " must lie in [-1, ", limit, "); got ", rows[e],
              " at entry ", e);
}

inline void check_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                        VectorView<const std::int32_t> item_rows, std::int64_t n, const char* caller) {
    check_model(model, caller);
    check(user_rows.size == item_rows.size && user_rows.size == n, caller,
          ": user_rows and item_rows must have as many entries; got ", user_rows.size, " and ", item_rows.size);
}

inline void check_weighted_pairs(const FactorModel& model, VectorView<const std::int32_t> user_rows,
                                 VectorView<const std::int32_t> item_rows, VectorView<const float> values,
                                 VectorView<const float> weights, const char* caller) {
    check_pairs(model, user_rows, item_rows, values.size, caller);
    check(weights.empty() || weights.size == values.size, caller, ": weights must have ", values.size, " entries; got ",
          weights.size);
}

inline void check_block(const FactorModel& model, VectorView<const std::int32_t> user_rows, MatrixView<float> out,
                        const char* caller) {
    check_model(model, caller);
    check(out.rows == user_rows.size && out.cols == model.item_factors.rows, caller, ": the output must be (",
          user_rows.size, ", ", model.item_factors.rows, "); got (", out.rows, ", ", out.cols, ")");
}

inline void check_evaluation(const FactorModel& model, const CsrView& ratings, VectorView<const float> weights,
                             float low, float high, const char* caller) {
    check_model(model, caller);
    check(ratings.rows == model.user_factors.rows, caller, ": ratings must have one row per user (",
          model.user_factors.rows, "); got ", ratings.rows);
    check(ratings.cols == model.item_factors.rows, caller, ": ratings must have one column per item (",
          model.item_factors.rows, "); got ", ratings.cols);
    check(low <= high, caller, ": low must not exceed high; got ", low, " and ", high);
    check(weights.empty() || weights.size == ratings.nnz(), caller, ": weights must have ", ratings.nnz(),
          " entries; got ", weights.size);
}

}  // namespace fastcf
