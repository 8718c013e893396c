#include "ops/optimizer.h"

#include <algorithm>
#include <type_traits>

#include "core/parallel.h"
#include "cpu/optimizer_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kElementsPerTask = 1 << 16, kRowsAhead = 6;

template <class T>
const OptimizerRunKernels<T>& kernels() {
    const OptimizerKernels& table = FASTCF_SELECT_ISA(optimizer_kernels);
    if constexpr (std::is_same_v<T, float>)
        return table.of_float;
    else
        return table.of_double;
}

double power_of(double decay, VectorView<const double> powers, std::int64_t n) {
    return n < powers.size ? powers[n] : std::pow(decay, static_cast<double>(n));
}

template <class T>
OptimizerStep<T> step_of(const Optimizer& o, double learning_rate, std::int64_t step) {
    const bool adam = o.kind == OptimizerKind::adam;
    return optimizer_step_of<T>(o.kind, learning_rate, o.decay, o.second_decay, o.epsilon, o.weight_decay,
                                adam ? power_of(o.decay, o.powers, step) : 0.0,
                                adam ? power_of(o.second_decay, o.second_powers, step) : 0.0);
}

template <class T>
T* row_of(T* array, std::int64_t row, std::int64_t stride) {
    return array == nullptr ? nullptr : array + row * stride;
}

bool moves(const Optimizer& o) {
    return moves_untouched(o.kind, o.weight_decay);
}

// What n steps without a gradient come to.
Coast<double> coast_at(const Optimizer& o, std::int64_t n) {
    if (o.weight_decay == 0) return coast_freely(o.kind, o.decay, power_of(o.decay, o.powers, n));
    if (4 * n >= o.coasts.size) return coast_often(coast_once(o), n);
    const double* c = o.coasts.data + 4 * n;
    return {c[0], c[1], c[2], c[3]};
}

// Moves a row by so many of the steps that it has missed.
template <class T>
void coast_row(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state, std::int64_t row) {
    const std::int64_t n = step - state.row_steps[row];
    if (n <= 0) return;
    kernels<T>().coast(coast_of<T>(coast_at(optimizer, n)), state.cols, state.parameters + row * state.stride,
                       row_of(state.first, row, state.stride));
    state.row_steps[row] = step;
}

// Rows far apart wait for memory, unless it is asked some rows before.
template <class T>
void prefetch_row(const OptimizerRows<T>& state, std::int64_t row) {
    constexpr std::int64_t kLine = 64, kMaxBytes = 16 * kLine;  // further lines are left to the hardware
    const std::int64_t bytes = std::min(kMaxBytes, state.cols * static_cast<std::int64_t>(sizeof(T)));
    for (const T* array : {state.parameters, state.first, state.second})
        for (std::int64_t b = 0; array != nullptr && b < bytes; b += kLine)
            __builtin_prefetch(reinterpret_cast<const char*>(array + row * state.stride) + b, 1);
}

template <class T, class Body>
void for_rows(const OptimizerRows<T>& state, VectorView<const std::int32_t> rows, int n_threads, Body&& body) {
    check_optimizer_rows(rows, state.rows);
    const std::int64_t grain = kElementsPerTask / 4 / (state.cols + 16) + 1;
    parallel_chunks(rows.size, grain, threads_for(rows.size * (state.cols / 2 + 4), n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        for (std::int64_t r = begin; r < end; ++r) {
                            if (r + kRowsAhead < end) prefetch_row(state, rows[r + kRowsAhead]);
                            body(r, rows[r]);
                        }
                    });
}

}  // namespace

template <class T>
void optimizer_step(const Optimizer& optimizer, double learning_rate, std::int64_t step, std::int64_t n, T* parameters,
                    const T* gradient, T* first, T* second, int n_threads) {
    check_optimizer_step(step);
    const OptimizerStep<T> s = step_of<T>(optimizer, learning_rate, step);
    parallel_chunks(n, kElementsPerTask, threads_for(n, n_threads), [&](std::int64_t begin, std::int64_t end, int) {
        kernels<T>().step(optimizer.kind, s, end - begin, parameters + begin, gradient + begin, row_of(first, begin, 1),
                          row_of(second, begin, 1));
    });
}

template <class T>
void optimizer_step_rows(const Optimizer& optimizer, double learning_rate, std::int64_t step,
                         const OptimizerRows<T>& state, VectorView<const std::int32_t> rows, const T* gradient,
                         std::int64_t gradient_stride, int n_threads) {
    check_optimizer_step(step);
    const OptimizerStep<T> shared = step_of<T>(optimizer, learning_rate, step);
    const bool adam = optimizer.kind == OptimizerKind::adam, coasts = moves(optimizer);
    for_rows(state, rows, n_threads, [&](std::int64_t r, std::int64_t row) {
        if (coasts) coast_row(optimizer, step - 1, state, row);
        OptimizerStep<T> s = shared;
        if (adam) s = step_of<T>(optimizer, learning_rate, ++state.row_steps[row]);
        kernels<T>().step(optimizer.kind, s, state.cols, state.parameters + row * state.stride,
                          gradient + r * gradient_stride, row_of(state.first, row, state.stride),
                          row_of(state.second, row, state.stride));
        if (coasts) state.row_steps[row] = step;
    });
}

template <class T>
void optimizer_catch_up(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state,
                        VectorView<const std::int32_t> rows, int n_threads) {
    if (!moves(optimizer)) return;
    for_rows(state, rows, n_threads, [&](std::int64_t, std::int64_t row) { coast_row(optimizer, step, state, row); });
}

template <class T>
void optimizer_flush(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state, int n_threads) {
    if (!moves(optimizer)) return;
    parallel_chunks(state.rows, kElementsPerTask / (state.cols + 16) + 1,
                    threads_for(state.rows * (state.cols / 8 + 4), n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        for (std::int64_t row = begin; row < end; ++row) coast_row(optimizer, step, state, row);
                    });
}

FASTCF_INSTANTIATE_OPTIMIZER(float)
FASTCF_INSTANTIATE_OPTIMIZER(double)

}  // namespace fastcf
