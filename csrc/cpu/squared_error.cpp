#include "ops/squared_error.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"

namespace fastcf {
namespace {

constexpr std::int64_t kPerTask = 1 << 14;

template <class T>
double chunk(const T* predicted, const T* target, const T* weights, T twice_scale, std::int64_t n, T* gradient) {
    constexpr int kSums = 8;
    double sums[kSums] = {};
    for (std::int64_t e = 0; e < n; ++e) {
        const T error = predicted[e] - target[e], weighted = weights == nullptr ? error : weights[e] * error;
        gradient[e] = twice_scale * weighted;
        sums[e % kSums] += static_cast<double>(weighted) * static_cast<double>(error);
    }
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace

template <class T>
void squared_error(VectorView<const T> predicted, VectorView<const T> target, VectorView<const T> weights, double scale,
                   VectorView<T> gradient, double* sum, int n_threads) {
    check_squared_error(predicted, target, weights, gradient);
    const std::int64_t n = predicted.size;
    std::vector<double> partial(static_cast<std::size_t>((n + kPerTask - 1) / kPerTask));
    parallel_chunks(n, kPerTask, threads_for(n, n_threads), [&](std::int64_t begin, std::int64_t end, int) {
        partial[static_cast<std::size_t>(begin / kPerTask)] =
            chunk(predicted.data + begin, target.data + begin, weights.empty() ? nullptr : weights.data + begin,
                  static_cast<T>(2 * scale), end - begin, gradient.data + begin);
    });
    for (const double part : partial) *sum += part;
}

FASTCF_INSTANTIATE_SQUARED_ERROR(float)
FASTCF_INSTANTIATE_SQUARED_ERROR(double)

}  // namespace fastcf
