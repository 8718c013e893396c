#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/loss.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kPerBlock = 8192;

// 12 bytes per float32 prediction (16 with weights); 5 flops for the squared loss, some 30 for the logistic one: bound
// by memory, on an H200 at most 400 G predictions/s. 256 threads, 256 bytes of shared memory. Deterministic.
template <Loss L, class T>
FASTCF_KERNEL(kThreads)
void loss_gradient_kernel(Global<const T> predicted, Global<const T> target, Global<const T> weights, std::int64_t n,
                          T scale, Global<T> gradient, Global<double> sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    const std::int64_t begin = blockIdx.x * kPerBlock;
    double sum = 0.0;
    for (std::int64_t e = begin + threadIdx.x; e < begin + kPerBlock && e < n; e += kThreads) {
        const T z = predicted[e], y = target[e];
        T slope;
        T loss = loss_of<L>(z, y, &slope);
        if (weights != nullptr) {
            const T w = weights[e];
            loss *= w;
            slope *= w;
        }
        gradient[e] = scale * slope;
        sum += static_cast<double>(loss);
    }
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One thread works: there is a sum per 8,192 losses. Deterministic.
FASTCF_KERNEL(kWarp)
void add_sums_kernel(Global<const double> sums, std::int64_t n, Global<double> total) {
    if (threadIdx.x != 0) return;
    double sum = total[0];
    for (std::int64_t i = 0; i < n; ++i) {
        const double part = sums[i];
        sum += part;
    }
    total[0] = sum;
}

}  // namespace

template <class T>
void loss_gradient(Loss loss, VectorView<const T> predicted, VectorView<const T> target, VectorView<const T> weights,
                   double scale, VectorView<T> gradient, double* sum, int) {
    check_loss_gradient(predicted, target, weights, gradient);
    const std::int64_t n = predicted.size, blocks = blocks_for(n, kPerBlock);
    if (n == 0) return;
    const In<T> staged_predicted(predicted), staged_target(target), staged_weights(weights);
    const Out<T> staged_gradient(gradient);
    const InOut<double> total(sum, 1);
    DeviceArray<double> sums(blocks);
    const auto launch = [&](auto kernel) {
        FASTCF_LAUNCH(kernel, blocks, kThreads, 0, staged_predicted.data(), staged_target.data(), staged_weights.data(),
                      n, static_cast<T>(scale), staged_gradient.data(), sums.data());
    };
    loss == Loss::logistic ? launch(loss_gradient_kernel<Loss::logistic, T>)
                           : launch(loss_gradient_kernel<Loss::squared, T>);
    FASTCF_LAUNCH(add_sums_kernel, 1, kWarp, 0, sums.data(), blocks, total.data());
    staged_gradient.finish();
    total.finish();
}

FASTCF_INSTANTIATE_LOSS(float)
FASTCF_INSTANTIATE_LOSS(double)

}  // namespace fastcf
