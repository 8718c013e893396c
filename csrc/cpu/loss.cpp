#include "ops/loss.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "cpu/loss_kernels.h"

namespace fastcf {
namespace {

constexpr std::int64_t kPerTask = 1 << 14;

const LossRunKernels<float>& kernels(float) {
    return FASTCF_SELECT_ISA(loss_kernels).of_float;
}
const LossRunKernels<double>& kernels(double) {
    return FASTCF_SELECT_ISA(loss_kernels).of_double;
}

}  // namespace

template <class T>
void loss_gradient(Loss loss, VectorView<const T> predicted, VectorView<const T> target, VectorView<const T> weights,
                   double scale, VectorView<T> gradient, double* sum, int n_threads) {
    check_loss_gradient(predicted, target, weights, gradient);
    const auto run = kernels(T{}).run;
    const std::int64_t n = predicted.size;
    const auto chunk = [&](std::int64_t begin, std::int64_t end) {
        return run(loss, predicted.data + begin, target.data + begin, weights.empty() ? nullptr : weights.data + begin,
                   static_cast<T>(scale), end - begin, gradient.data + begin);
    };
    if (n <= kPerTask) {  // without an array of sums: small batches are many
        *sum += chunk(0, n);
        return;
    }
    std::vector<double> partial(static_cast<std::size_t>((n + kPerTask - 1) / kPerTask));
    parallel_chunks(n, kPerTask, threads_for(n, n_threads), [&](std::int64_t begin, std::int64_t end, int) {
        partial[static_cast<std::size_t>(begin / kPerTask)] = chunk(begin, end);
    });
    for (const double part : partial) *sum += part;
}

FASTCF_INSTANTIATE_LOSS(float)
FASTCF_INSTANTIATE_LOSS(double)

}  // namespace fastcf
