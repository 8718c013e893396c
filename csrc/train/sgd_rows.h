// Rows of parameters in training order: what trainers over tiles share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/memory.h"
#include "core/parallel.h"
#include "core/state.h"
#include "core/view.h"
#include "math/penalty.h"
#include "ops/sgd.h"
#include "train/factors.h"

namespace fastcf {

// What training changes; rates stay as they are.
inline void copy_factors(const SgdState& from, SgdState& to, int n_threads) {
    to.user_factors.assign(from.user_factors, n_threads);
    to.item_factors.assign(from.item_factors, n_threads);
    to.user_bias.assign(from.user_bias, n_threads);
    to.item_bias.assign(from.item_bias, n_threads);
}

// The parameters that were saved last.
class SavedFactors {
  public:
    void save(const SgdState& now, int n_threads) {
        copy_factors(now, best_, n_threads);
        saved_ = true;
    }
    void restore(SgdState& now, int n_threads, const char* caller) const {
        if (!saved_) throw std::logic_error(std::string(caller) + ".restore_best: nothing was saved");
        copy_factors(best_, now, n_threads);
    }
    // The current parameters, of the sides that have biases, and those saved.
    void list_state(StateFields& fields, SgdState& now, bool user_bias, bool item_bias) {
        fields.saved(saved_);
        const auto list = [&](const std::string& name, DeviceArray<float>& current, DeviceArray<float>& best) {
            fields.array(name, current);
            fields.best_array(name + ".best", best, current.size());
        };
        list("user_factors", now.user_factors, best_.user_factors);
        list("item_factors", now.item_factors, best_.item_factors);
        if (user_bias) list("user_bias", now.user_bias, best_.user_bias);
        if (item_bias) list("item_bias", now.item_bias, best_.item_bias);
    }

  private:
    SgdState best_;
    bool saved_ = false;
};

// A row of n ratings is penalised by scale n^exponent; each of its ratings pays an n-th of it.
struct PenaltyShares {
    DeviceArray<float> of_row, of_rating;
};

inline PenaltyShares penalty_shares(const std::vector<std::int64_t>& counts, double scale, double exponent) {
    constexpr std::int64_t kSmall = 256;  // most rows have few ratings: their powers are computed once
    std::vector<float> small_rows(kSmall), small_ratings(kSmall);
    for (std::int64_t n = 0; n < kSmall; ++n) {
        small_rows[static_cast<std::size_t>(n)] = row_penalty(n, scale, exponent);
        small_ratings[static_cast<std::size_t>(n)] = row_penalty(n, scale, exponent - 1);
    }
    std::vector<float> of_row(counts.size()), of_rating(counts.size());
    for (std::size_t r = 0; r < counts.size(); ++r) {
        const std::int64_t n = counts[r];
        const auto small = static_cast<std::size_t>(n);
        of_row[r] = n < kSmall ? small_rows[small] : row_penalty(n, scale, exponent);
        of_rating[r] = n < kSmall ? small_ratings[small] : row_penalty(n, scale, exponent - 1);
    }
    return {DeviceArray<float>(of_row), DeviceArray<float>(of_rating)};
}

template <class T>
std::vector<T> in_order(const T* rows, const std::vector<std::int32_t>& position) {
    std::vector<T> ordered(position.size());
    for (std::size_t r = 0; r < position.size(); ++r) ordered[static_cast<std::size_t>(position[r])] = rows[r];
    return ordered;
}

// The row that stands at each position.
inline std::vector<std::int32_t> rows_in_order(const std::vector<std::int32_t>& position) {
    std::vector<std::int32_t> rows(position.size());
    for (std::size_t row = 0; row < position.size(); ++row)
        rows[static_cast<std::size_t>(position[row])] = static_cast<std::int32_t>(row);
    return rows;
}

inline void place_rows(const MatrixView<float>& rows, const std::vector<std::int32_t>& position,
                       DeviceArray<float>& array, std::int64_t stride, int n_threads) {
    HostView<float> to(array);
    parallel_chunks(rows.rows, kRowGrain, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i)
            std::copy_n(rows.row(i), rows.cols, to.data() + position[static_cast<std::size_t>(i)] * stride);
    });
    to.finish();
}

inline void fetch_rows(const MatrixView<float>& rows, const std::vector<std::int32_t>& position,
                       const DeviceArray<float>& array, std::int64_t stride, int n_threads) {
    const HostView<const float> from(array);
    parallel_chunks(rows.rows, kRowGrain, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i)
            std::copy_n(from.data() + position[static_cast<std::size_t>(i)] * stride, rows.cols, rows.row(i));
    });
}

// Zeros where a side has no biases.
inline void fetch_bias(const VectorView<float>& biases, bool there, const std::vector<std::int32_t>& position,
                       const DeviceArray<float>& array) {
    if (!there) {
        std::fill_n(biases.data, biases.size, 0.0f);
        return;
    }
    const HostView<const float> from(array);
    for (std::int64_t r = 0; r < biases.size; ++r) biases[r] = from.data()[position[static_cast<std::size_t>(r)]];
}

}  // namespace fastcf
