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
    double weight_decay = 0;   // the gradient of p is g + weight_decay p
    double coasting_rate = 0;  // the learning rate under which rows not named shrink; flush before it changes
    // Powers of the decays, from the 0th on, as far as someone has tabulated them (tabulated_powers), where the device
    // can read them. Steps by row need a power per row, which takes as long as the row's step: worth it for whoever
    // takes many steps.
    VectorView<const double> powers, second_powers;
    // Likewise, with weight decay: four numbers (Coast) for each number of steps, from 0 on (tabulated_coasts).
    VectorView<const double> coasts;
};

inline constexpr std::int64_t kPowers = 4096;  // 32 KiB of them

inline Coast<double> coast_once(const Optimizer& o) {
    return coast_once(o.kind, o.coasting_rate, o.decay, o.weight_decay);
}

inline std::vector<double> tabulated_coasts(const Optimizer& optimizer) {
    const Coast<double> once = coast_once(optimizer);
    Coast<double> all{1, 0, 0, 1};
    std::vector<double> coasts;
    for (std::int64_t n = 0; n < kPowers; ++n, all = coast_both(all, once))
        coasts.insert(coasts.end(), {all.pp, all.pv, all.vp, all.vv});
    return coasts;
}

inline std::vector<double> tabulated_powers(double decay) {
    std::vector<double> powers;
    for (std::int64_t n = 0; n < kPowers; ++n) powers.push_back(std::pow(decay, static_cast<double>(n)));
    return powers;
}

// Which arrays an optimiser keeps beside the parameters, of their shape and zero at first.
inline bool keeps_first(OptimizerKind kind) {
    return kind != OptimizerKind::gradient_descent;
}
inline bool keeps_second(OptimizerKind kind) {
    return kind == OptimizerKind::adadelta || kind == OptimizerKind::adam;
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
//     before that, to work out its gradient, must ask for it (optimizer_catch_up);
//   these with weight decay, and gradient descent with it: a linear recurrence of p and v, whose powers are known. It
//     depends on the learning rate: who changes that flushes first, and names the rate in coasting_rate.
// AdaDelta and Adam have no closed form, nor AdaGrad with weight decay. There, time stands still for a row while it is
// not named: its averages wait, it does not shrink, and Adam corrects the bias by the row's own number of steps.
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

// What all of these, on every device, ask of steps and rows; rows on the host are looked at.
inline void check_optimizer_step(std::int64_t step) {
    check(step >= 1, "optimizer_step: steps count from 1; got ", step);
}
inline void check_optimizer_rows(VectorView<const std::int32_t> rows, std::int64_t limit) {
    for (std::int64_t r = 0; r < rows.size; ++r)
        check(rows[r] >= 0 && rows[r] < limit && (r == 0 || rows[r] > rows[r - 1]),
              "optimizer_step: rows must ascend within [0, ", limit, "); got ", rows[r], " at entry ", r);
}

// What every device defines.
#define FASTCF_INSTANTIATE_OPTIMIZER(T)                                                                               \
    template void optimizer_step<T>(const Optimizer&, double, std::int64_t, std::int64_t, T*, const T*, T*, T*, int); \
    template void optimizer_step_rows<T>(const Optimizer&, double, std::int64_t, const OptimizerRows<T>&,             \
                                         VectorView<const std::int32_t>, const T*, std::int64_t, int);                \
    template void optimizer_catch_up<T>(const Optimizer&, std::int64_t, const OptimizerRows<T>&,                      \
                                        VectorView<const std::int32_t>, int);                                         \
    template void optimizer_flush<T>(const Optimizer&, std::int64_t, const OptimizerRows<T>&, int);

inline void check_optimizer(const Optimizer& optimizer, const char* caller) {
    check(optimizer.decay >= 0 && optimizer.decay < 1 && optimizer.second_decay >= 0 && optimizer.second_decay < 1,
          caller, ": decays must lie in [0, 1); got ", optimizer.decay, " and ", optimizer.second_decay);
    check(optimizer.weight_decay >= 0 && optimizer.weight_decay <= 1e30, caller,
          ": weight_decay must not be negative; got ", optimizer.weight_decay);
}

}  // namespace fastcf
