#include "cpu/loss_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

constexpr int64_t kSums = 8;

// kSums predictions, or the last few. Losses go through arrays, so that the compiler sees loops to turn into vectors.
template <Loss L, class T>
FASTCF_INLINE void step(const T* predicted, const T* target, const T* weights, T scale, int64_t n, T* gradient,
                        double* sums) {
    T losses[kSums], slopes[kSums];
    for (int64_t j = 0; j < n; ++j) losses[j] = loss_of<L>(predicted[j], target[j], &slopes[j]);
    if (weights != nullptr)
        for (int64_t j = 0; j < n; ++j) {
            losses[j] *= weights[j];
            slopes[j] *= weights[j];
        }
    for (int64_t j = 0; j < n; ++j) {
        gradient[j] = scale * slopes[j];
        sums[j] += static_cast<double>(losses[j]);
    }
}

template <Loss L, class T>
FASTCF_INLINE double run_of(const T* predicted, const T* target, const T* weights, T scale, int64_t n, T* gradient) {
    double sums[kSums] = {};
    int64_t e = 0;
    for (; e + kSums <= n; e += kSums)
        step<L>(predicted + e, target + e, weights == nullptr ? nullptr : weights + e, scale, kSums, gradient + e,
                sums);
    step<L>(predicted + e, target + e, weights == nullptr ? nullptr : weights + e, scale, n - e, gradient + e, sums);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

template <class T>
double run(Loss loss, const T* predicted, const T* target, const T* weights, T scale, int64_t n, T* gradient) {
    return loss == Loss::logistic ? run_of<Loss::logistic>(predicted, target, weights, scale, n, gradient)
                                  : run_of<Loss::squared>(predicted, target, weights, scale, n, gradient);
}

}  // namespace

extern const LossKernels loss_kernels;
const LossKernels loss_kernels = {{run<float>}, {run<double>}};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
