#include "ops/softmax.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "cpu/softmax_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kElementsPerTask = 1 << 14;

const SoftmaxRowKernels<float>& kernels(float) {
    return FASTCF_SELECT_ISA(softmax_kernels).of_float;
}
const SoftmaxRowKernels<double>& kernels(double) {
    return FASTCF_SELECT_ISA(softmax_kernels).of_double;
}

// Row r of scores becomes its gradient; returns its cost.
template <class T>
double gradient_of_row(const ChosenRows<T>& chosen, std::int64_t r, const T* bias, double scale, std::int64_t cols,
                       T* scores, const SoftmaxRowKernels<T>& run) {
    const std::int64_t begin = chosen.indptr[r], end = chosen.indptr[r + 1];
    double total = 0;
    for (std::int64_t e = begin; e < end; ++e) total += static_cast<double>(chosen.strengths[e]);
    if (total == 0) {
        std::fill_n(scores, cols, T(0));
        return 0;
    }
    const T most = run.shift(bias, cols, scores);
    double own = 0;  // x . (s - m)
    for (std::int64_t e = begin; e < end; ++e)
        own += static_cast<double>(chosen.strengths[e]) * static_cast<double>(scores[chosen.columns[e]] - most);
    const double sum = run.exponentials(most, cols, scores);
    run.multiply(static_cast<T>(scale * total / sum), cols, scores);
    for (std::int64_t e = begin; e < end; ++e) scores[chosen.columns[e]] -= static_cast<T>(scale) * chosen.strengths[e];
    return total * std::log(sum) - own;
}

}  // namespace

template <class T>
void softmax_gradient(const ChosenRows<T>& chosen, VectorView<const T> bias, double scale, MatrixView<T> scores,
                      double* sum, int n_threads) {
    check_softmax_gradient(chosen, bias, scores);
    const SoftmaxRowKernels<T>& run = kernels(T{});
    const T* const shifts = bias.empty() ? nullptr : bias.data;
    std::vector<double> costs(static_cast<std::size_t>(scores.rows));
    const std::int64_t grain = std::max<std::int64_t>(1, kElementsPerTask / std::max<std::int64_t>(scores.cols, 1));
    parallel_chunks(scores.rows, grain, threads_for(scores.rows * scores.cols, n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        for (std::int64_t r = begin; r < end; ++r)
                            costs[static_cast<std::size_t>(r)] =
                                gradient_of_row(chosen, r, shifts, scale, scores.cols, scores.row(r), run);
                    });
    for (const double cost : costs) *sum += cost;
}

FASTCF_INSTANTIATE_SOFTMAX(float)
FASTCF_INSTANTIATE_SOFTMAX(double)

}  // namespace fastcf
