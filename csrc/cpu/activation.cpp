#include "ops/activation.h"

#include <algorithm>

#include "core/parallel.h"
#include "cpu/activation_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kElementsPerTask = 1 << 14;

const ActivationRowKernels<float>& kernels(float) {
    return FASTCF_SELECT_ISA(activation_kernels).of_float;
}
const ActivationRowKernels<double>& kernels(double) {
    return FASTCF_SELECT_ISA(activation_kernels).of_double;
}

// Calls body(first row, last row) on chunks of rows that are worth a task.
template <class Body>
void over_rows(std::int64_t rows, std::int64_t cols, int n_threads, Body&& body) {
    const std::int64_t grain = std::max<std::int64_t>(1, kElementsPerTask / std::max<std::int64_t>(cols, 1));
    parallel_chunks(rows, grain, threads_for(rows * cols, n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) { body(begin, end); });
}

template <class T, class Body>
void over_elements(const Dropout& how, const MatrixView<T>& x, int n_threads, Body&& body) {
    check_dropout(how);
    if (how.rate == 0) return;
    over_rows(x.rows, x.cols, n_threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r)
            for (std::int64_t c = 0; c < x.cols; ++c)
                body(x.row(r)[c], dropout_keeps(how.rate, how.key, static_cast<std::uint64_t>(r * x.cols + c)));
    });
}

}  // namespace

template <class T>
void activate(Activation kind, MatrixView<T> x, VectorView<const T> bias, int n_threads) {
    check_activate(x, bias);
    const auto forward = kernels(T{}).forward;
    over_rows(x.rows, x.cols, n_threads, [&](std::int64_t begin, std::int64_t end) {
        forward(kind, bias.empty() ? nullptr : bias.data, {end - begin, x.cols, x.stride}, x.row(begin));
    });
}

template <class T>
void activation_gradient(Activation kind, MatrixView<const T> y, MatrixView<T> gradient, VectorView<T> bias_gradient,
                         int n_threads) {
    check_activation_gradient(y, gradient, bias_gradient);
    const auto backward = kernels(T{}).backward;
    over_rows(y.rows, y.cols, n_threads, [&](std::int64_t begin, std::int64_t end) {
        backward(kind, y.row(begin), y.stride, {end - begin, y.cols, gradient.stride}, gradient.row(begin));
    });
    constexpr std::int64_t kColumnsPerTask = 64;
    if (bias_gradient.empty()) return;
    parallel_chunks(y.cols, kColumnsPerTask, threads_for(y.rows * y.cols, n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        T* const sums = bias_gradient.data;
                        std::fill(sums + begin, sums + end, T(0));
                        for (std::int64_t r = 0; r < y.rows; ++r)
                            for (std::int64_t c = begin; c < end; ++c) sums[c] += gradient.row(r)[c];
                    });
}

template <class T>
void dropout(const Dropout& how, MatrixView<T> x, int n_threads) {
    const DropoutScale<double> s = dropout_scale(how.rate, how.alpha);
    const T scale = static_cast<T>(s.scale), shift = static_cast<T>(s.shift), dropped = static_cast<T>(s.dropped);
    over_elements(how, x, n_threads, [=](T& value, bool keep) { value = keep ? scale * value + shift : dropped; });
}

template <class T>
void dropout_gradient(const Dropout& how, MatrixView<T> gradient, int n_threads) {
    const T scale = static_cast<T>(dropout_scale(how.rate, how.alpha).scale);
    over_elements(how, gradient, n_threads, [=](T& value, bool keep) { value = keep ? scale * value : T(0); });
}

FASTCF_INSTANTIATE_ACTIVATION(float)
FASTCF_INSTANTIATE_ACTIVATION(double)

}  // namespace fastcf
