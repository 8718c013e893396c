// Parameters that an optimiser steps, with what it remembers of them.
#pragma once

#include <cstdint>

#include "core/memory.h"
#include "core/view.h"
#include "ops/optimizer.h"

namespace fastcf {

// In float64, in order.
template <class T>
double squared_sum(const T* values, std::int64_t n) {
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    return sum;
}

// Rows of parameters, each of which may wait for its steps until it is looked at.
template <class T>
struct OptimizedRows {
    DeviceArray<T> values, first, second, best;
    DeviceArray<std::int64_t> row_steps;
    std::int64_t rows = 0, cols = 0;

    OptimizedRows() = default;
    OptimizedRows(std::int64_t n_rows, std::int64_t n_cols, OptimizerKind kind)
        : values(DeviceArray<T>::zeros(n_rows * n_cols)),
          row_steps(DeviceArray<std::int64_t>::zeros(n_rows)),
          rows(n_rows),
          cols(n_cols) {
        if (keeps_first(kind)) first = DeviceArray<T>::zeros(n_rows * n_cols);
        if (keeps_second(kind)) second = DeviceArray<T>::zeros(n_rows * n_cols);
    }

    OptimizerRows<T> state() {
        return {values.data(), first.data(), second.data(), row_steps.data(), rows, cols, cols};
    }
    MatrixView<const T> view() const { return {values.data(), rows, cols, cols}; }

    // Takes one row of other's, with all that is remembered of it.
    void take_row(std::int64_t row, const OptimizedRows& other, std::int64_t from) {
        const auto take = [&](DeviceArray<T>& to, const DeviceArray<T>& source) {
            if (to.size() > 0)
                device_copy(to.data() + row * cols, source.data() + from * cols,
                            cols * static_cast<std::int64_t>(sizeof(T)), 1);
        };
        take(values, other.values);
        take(first, other.first);
        take(second, other.second);
    }

    // The optimiser begins anew.
    void forget() {
        first.clear();
        second.clear();
        row_steps.clear();
    }
    void save_best(int n_threads) { best.assign(values, n_threads); }
    void restore_best(int n_threads) {
        values.assign(best, n_threads);
        forget();
    }
};

}  // namespace fastcf
