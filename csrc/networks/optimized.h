// Parameters that an optimiser steps, with what it remembers of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "core/memory.h"
#include "core/state.h"
#include "core/view.h"
#include "math/penalty.h"
#include "ops/optimizer.h"
#include "ops/penalty.h"

namespace fastcf {

// Rows of a gradient, to where they belong in all of it.
template <class T>
void spread_rows(const DeviceArray<T>& from, VectorView<const std::int32_t> rows, std::int64_t cols, T* to) {
    const HostView<const T> host(from);
    for (std::int64_t r = 0; r < rows.size; ++r) std::copy_n(host.data() + r * cols, cols, to + rows[r] * cols);
}

// Adds the slopes of weight |at|^2 / 2 to a gradient; both in host memory.
template <class T>
void penalise(const MatrixView<T>& at, double weight, const MatrixView<T>& gradient) {
    for (std::int64_t r = 0; r < at.rows; ++r)
        for (std::int64_t f = 0; f < at.cols; ++f)
            gradient.row(r)[f] = penalised(gradient.row(r)[f], static_cast<T>(weight), at.row(r)[f]);
}

// Rows of parameters, each of which may take its steps late: when it is next looked at.
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
    double squared_norm(int n_threads) const { return penalty<T>(view(), {}, n_threads); }

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

    // Becomes other, brought up to date.
    void settled_copy(const OptimizedRows& other, const Optimizer& optimizer, std::int64_t step, int n_threads) {
        rows = other.rows;
        cols = other.cols;
        values.assign(other.values, n_threads);
        first.assign(other.first, n_threads);
        second.assign(other.second, n_threads);
        row_steps.assign(other.row_steps, n_threads);
        optimizer_flush(optimizer, step, state(), n_threads);
    }

    // Resets the optimiser's state.
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
    // Rows that are behind stay behind; `steps` is the counter that they follow, where there is one.
    void list_state(StateFields& fields, const std::string& name, const std::string& steps = "steps") {
        fields.array(name, values);
        if (!first.empty()) fields.array(name + ".first", first);
        if (!second.empty()) fields.array(name + ".second", second);
        fields.row_counters(name + ".row_steps", row_steps, steps);
        fields.best_array(name + ".best", best, values.size());
    }
};

// An optimiser of many steps: with the tables that steps by row look up.
class TabulatedOptimizer {
  public:
    TabulatedOptimizer() = default;
    explicit TabulatedOptimizer(const Optimizer& optimizer)
        : powers_(tabulated_powers(optimizer.decay)),
          second_powers_(tabulated_powers(optimizer.second_decay)),
          optimizer_(optimizer) {
        optimizer_.powers = {powers_.data(), powers_.size()};
        optimizer_.second_powers = {second_powers_.data(), second_powers_.size()};
    }

    operator const Optimizer&() const { return optimizer_; }
    // Rows that are behind shrink at the rate of their missed steps: before it changes, `settle` brings them up to
    // date.
    template <class Settle>
    void set_rate(double learning_rate, Settle&& settle) {
        const double decay = optimizer_.weight_decay;
        if (decay == 0 || !moves_untouched(optimizer_.kind, decay) || optimizer_.coasting_rate == learning_rate) return;
        settle();
        tabulate_coasts(learning_rate);
    }
    void list_state(StateFields& fields) {
        fields.number<double>(
            "coasting_rate", [this] { return optimizer_.coasting_rate; },
            [this](double rate) { tabulate_coasts(rate); });
    }

  private:
    void tabulate_coasts(double learning_rate) {
        optimizer_.coasting_rate = learning_rate;
        coasts_ = DeviceArray<double>(tabulated_coasts(optimizer_));
        optimizer_.coasts = {coasts_.data(), coasts_.size()};
    }

    DeviceArray<double> powers_, second_powers_, coasts_;
    Optimizer optimizer_;
};

}  // namespace fastcf
