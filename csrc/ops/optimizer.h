// One step of an optimiser, on whole arrays or on some rows.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/view.h"
#include "math/optimizer.h"

namespace fastcf {

// Formulas and sources stand in math/optimizer.h.
struct Optimizer {
    OptimizerKind kind = OptimizerKind::gradient_descent;
    double decay = 0;         // momentum; AdaDelta's rho; Adam's beta1
    double second_decay = 0;  // Adam's beta2
    double epsilon = 0;
    std::vector<double> powers, second_powers;  // of the decays, from the 0th on: as far as they are tabulated

    // Steps by row need a power per row, which takes as long as the row's step; worth it for whoever takes many steps.
    void tabulate();
    double power(std::int64_t n) const { return power_of(decay, powers, n); }
    double second_power(std::int64_t n) const { return power_of(second_decay, second_powers, n); }

  private:
    static double power_of(double base, const std::vector<double>& table, std::int64_t n) {
        return n < static_cast<std::int64_t>(table.size()) ? table[static_cast<std::size_t>(n)]
                                                           : std::pow(base, static_cast<double>(n));
    }
};

// Which arrays an optimiser keeps beside the parameters, of their shape and zero at first.
inline bool keeps_first(OptimizerKind kind) {
    return kind != OptimizerKind::gradient_descent;
}
inline bool keeps_second(OptimizerKind kind) {
    return kind == OptimizerKind::adadelta || kind == OptimizerKind::adam;
}
// Momentum moves rows without a gradient too; exactly so, whenever they are next looked at (optimizer_catch_up).
inline bool moves_untouched(OptimizerKind kind) {
    return kind == OptimizerKind::momentum || kind == OptimizerKind::nesterov;
}

// Rows of parameters and what is remembered of them. row_steps, one per row, is what steps by row need: with momentum,
// the step up to which the row is up to date; with Adam, how many steps it has taken; otherwise unused.
template <class T>
struct OptimizerRows {
    T* parameters = nullptr;
    T* first = nullptr;   // null where not kept
    T* second = nullptr;  // null where not kept
    std::int64_t* row_steps = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t stride = 0;  // elements between rows, of all three arrays
};

// All of these are defined for float and double, throw std::invalid_argument where contracts are broken that could lead
// out of bounds, and give the same bits for any number of threads. They are bound by memory: parameters, gradient and
// what is remembered are read once and, but for the gradient, written once.

// The step-th step, counted from 1, of whole arrays of n elements.
template <class T>
void optimizer_step(const Optimizer& optimizer, double learning_rate, std::int64_t step, std::int64_t n, T* parameters,
                    const T* gradient, T* first, T* second, int n_threads);

// The same for some rows, ascending; gradient holds a row for each of them, `gradient_stride` apart. A row is the same
// as if every step had been of whole arrays, with a gradient of zero for rows not named, under
//   gradient descent, AdaGrad: nothing happens to such a row;
//   momentum, Nesterov: v decays, and the sum of what it adds to the row is a geometric series in closed form. It does
//     not depend on learning rates, for v holds them. A row is brought up to date before it steps; whoever reads it
//     before that, to work out its gradient, must ask for it (optimizer_catch_up).
// AdaDelta and Adam have no closed form. There, time stands still for a row while it is not named: its averages wait,
// and Adam corrects the bias by the row's own number of steps.
template <class T>
void optimizer_step_rows(const Optimizer& optimizer, double learning_rate, std::int64_t step,
                         const OptimizerRows<T>& state, VectorView<const std::int32_t> rows, const T* gradient,
                         std::int64_t gradient_stride, int n_threads);

// Brings rows, ascending, to where they are after so many steps.
template <class T>
void optimizer_catch_up(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state,
                        VectorView<const std::int32_t> rows, int n_threads);

// Brings all rows there.
template <class T>
void optimizer_flush(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state, int n_threads);

}  // namespace fastcf
