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

template <class T>
OptimizerStep<T> step_of(const Optimizer& optimizer, double learning_rate, std::int64_t step) {
    OptimizerStep<T> s{};
    const bool adam = optimizer.kind == OptimizerKind::adam;
    s.rate = static_cast<T>(adam ? learning_rate / (1 - optimizer.power(step)) : learning_rate);
    s.keep = static_cast<T>(optimizer.decay);
    s.take = static_cast<T>(1 - optimizer.decay);
    s.second_keep = static_cast<T>(optimizer.second_decay);
    s.second_take = static_cast<T>(1 - optimizer.second_decay);
    s.second_scale = static_cast<T>(adam ? 1 / (1 - optimizer.second_power(step)) : 1);
    s.epsilon = static_cast<T>(optimizer.epsilon);
    return s;
}

template <class T>
T* row_of(T* array, std::int64_t row, std::int64_t stride) {
    return array == nullptr ? nullptr : array + row * stride;
}

// Moves a row by what its velocity adds in steps without a gradient: v (b + b^2 + ... + b^n), times b with Nesterov's.
template <class T>
void coast(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state, std::int64_t row) {
    const std::int64_t n = step - state.row_steps[row];
    if (n <= 0) return;
    const double b = optimizer.decay, power = optimizer.power(n);
    const double travel = b * (1 - power) / (1 - b) * (optimizer.kind == OptimizerKind::nesterov ? b : 1.0);
    kernels<T>().coast(static_cast<T>(travel), static_cast<T>(power), state.cols, state.parameters + row * state.stride,
                       state.first + row * state.stride);
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
    const char* caller = "optimizer_step";
    for (std::int64_t r = 0; r < rows.size; ++r)
        check(rows[r] >= 0 && rows[r] < state.rows && (r == 0 || rows[r] > rows[r - 1]), caller,
              ": rows must ascend within [0, ", state.rows, "); got ", rows[r], " at entry ", r);
    const std::int64_t grain = kElementsPerTask / (state.cols + 16) + 1;
    parallel_chunks(rows.size, grain, threads_for(rows.size * (state.cols / 8 + 4), n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        for (std::int64_t r = begin; r < end; ++r) {
                            if (r + kRowsAhead < end) prefetch_row(state, rows[r + kRowsAhead]);
                            body(r, rows[r]);
                        }
                    });
}

}  // namespace

void Optimizer::tabulate() {
    constexpr std::int64_t kPowers = 4096;  // 64 KiB of them
    for (std::int64_t n = 0; n < kPowers; ++n) {
        powers.push_back(std::pow(decay, static_cast<double>(n)));
        second_powers.push_back(std::pow(second_decay, static_cast<double>(n)));
    }
}

template <class T>
void optimizer_step(const Optimizer& optimizer, double learning_rate, std::int64_t step, std::int64_t n, T* parameters,
                    const T* gradient, T* first, T* second, int n_threads) {
    check(step >= 1, "optimizer_step: steps count from 1; got ", step);
    const OptimizerStep<T> s = step_of<T>(optimizer, learning_rate, step);
    parallel_chunks(n, kElementsPerTask, threads_for(n / 4, n_threads), [&](std::int64_t begin, std::int64_t end, int) {
        kernels<T>().step(optimizer.kind, s, end - begin, parameters + begin, gradient + begin, row_of(first, begin, 1),
                          row_of(second, begin, 1));
    });
}

template <class T>
void optimizer_step_rows(const Optimizer& optimizer, double learning_rate, std::int64_t step,
                         const OptimizerRows<T>& state, VectorView<const std::int32_t> rows, const T* gradient,
                         std::int64_t gradient_stride, int n_threads) {
    check(step >= 1, "optimizer_step: steps count from 1; got ", step);
    const OptimizerStep<T> shared = step_of<T>(optimizer, learning_rate, step);
    const bool adam = optimizer.kind == OptimizerKind::adam, moves = moves_untouched(optimizer.kind);
    for_rows(state, rows, n_threads, [&](std::int64_t r, std::int64_t row) {
        if (moves) coast(optimizer, step - 1, state, row);
        OptimizerStep<T> s = shared;
        if (adam) s = step_of<T>(optimizer, learning_rate, ++state.row_steps[row]);
        kernels<T>().step(optimizer.kind, s, state.cols, state.parameters + row * state.stride,
                          gradient + r * gradient_stride, row_of(state.first, row, state.stride),
                          row_of(state.second, row, state.stride));
        if (moves) state.row_steps[row] = step;
    });
}

template <class T>
void optimizer_catch_up(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state,
                        VectorView<const std::int32_t> rows, int n_threads) {
    if (!moves_untouched(optimizer.kind)) return;
    for_rows(state, rows, n_threads, [&](std::int64_t, std::int64_t row) { coast(optimizer, step, state, row); });
}

template <class T>
void optimizer_flush(const Optimizer& optimizer, std::int64_t step, const OptimizerRows<T>& state, int n_threads) {
    if (!moves_untouched(optimizer.kind)) return;
    parallel_chunks(state.rows, kElementsPerTask / (state.cols + 16) + 1,
                    threads_for(state.rows * (state.cols / 8 + 4), n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        for (std::int64_t row = begin; row < end; ++row) coast(optimizer, step, state, row);
                    });
}

#define FASTCF_INSTANTIATE(T)                                                                                         \
    template void optimizer_step<T>(const Optimizer&, double, std::int64_t, std::int64_t, T*, const T*, T*, T*, int); \
    template void optimizer_step_rows<T>(const Optimizer&, double, std::int64_t, const OptimizerRows<T>&,             \
                                         VectorView<const std::int32_t>, const T*, std::int64_t, int);                \
    template void optimizer_catch_up<T>(const Optimizer&, std::int64_t, const OptimizerRows<T>&,                      \
                                        VectorView<const std::int32_t>, int);                                         \
    template void optimizer_flush<T>(const Optimizer&, std::int64_t, const OptimizerRows<T>&, int);
FASTCF_INSTANTIATE(float)
FASTCF_INSTANTIATE(double)

}  // namespace fastcf
