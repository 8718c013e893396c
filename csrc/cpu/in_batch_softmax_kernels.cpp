#include "cpu/in_batch_softmax_kernels.h"

#include "cpu/vec.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

constexpr int64_t kSums = 16;  // in flight, whatever the length of vectors: the order of a sum is the same for all

// Adds the offsets; returns the greatest result.
template <class T>
FASTCF_INLINE T shifted_most(T* scores, const T* offsets, int64_t n) {
    T most[kSums];
    for (int64_t lane = 0; lane < kSums; ++lane) most[lane] = -__builtin_huge_valf();
    int64_t j = 0;
    for (; j + kSums <= n; j += kSums)
        for (int64_t lane = 0; lane < kSums; ++lane) {
            const T value = scores[j + lane] + offsets[j + lane];
            scores[j + lane] = value;
            most[lane] = value > most[lane] ? value : most[lane];
        }
    for (; j < n; ++j) {
        scores[j] += offsets[j];
        most[0] = scores[j] > most[0] ? scores[j] : most[0];
    }
    for (int64_t lane = 1; lane < kSums; ++lane) most[0] = most[lane] > most[0] ? most[lane] : most[0];
    return most[0];
}

// x <- exp(x - most); returns the sum.
template <class T>
FASTCF_INLINE double exponentials(T* x, T most, int64_t n) {
    double sums[kSums] = {};
    int64_t j = 0;
    for (; j + kSums <= n; j += kSums) {
        T values[kSums];
        for (int64_t lane = 0; lane < kSums; ++lane) values[lane] = exp_of_negative(x[j + lane] - most);
        for (int64_t lane = 0; lane < kSums; ++lane) {
            x[j + lane] = values[lane];
            sums[lane] += static_cast<double>(values[lane]);
        }
    }
    for (; j < n; ++j) {
        x[j] = exp_of_negative(x[j] - most);
        sums[0] += static_cast<double>(x[j]);
    }
    for (int64_t half = kSums / 2; half > 0; half /= 2)
        for (int64_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
    return sums[0];
}

template <class T>
double row(T* scores, const T* offsets, int64_t n, const int32_t* chosen, const T* weights, int64_t n_chosen, T* kept) {
    const T nothing = -static_cast<T>(__builtin_huge_valf());
    for (int64_t e = 0; e < n_chosen; ++e) {
        kept[e] = scores[chosen[e]];
        scores[chosen[e]] = nothing;
    }
    const T most = shifted_most(scores, offsets, n);
    const double sum = n_chosen == 0 || most == nothing ? 0.0 : exponentials(scores, most, n);
    if (sum == 0.0) {  // nothing chosen, or no alternative
        for (int64_t j = 0; j < n; ++j) scores[j] = T(0);
        return 0.0;
    }
    const T rest = most + static_cast<T>(__builtin_log(sum));
    double cost = 0.0, taken = 0.0;
    for (int64_t e = 0; e < n_chosen; ++e) {
        const T weight = weights == nullptr ? T(1) : weights[e];
        T slope;
        const T loss = logistic_loss(kept[e] - rest, T(1), &slope);
        kept[e] = weight * slope;
        cost += static_cast<double>(weight * loss);
        taken -= static_cast<double>(kept[e]);
    }
    const T share = static_cast<T>(taken / sum);
    for (int64_t j = 0; j < n; ++j) scores[j] *= share;
    for (int64_t e = 0; e < n_chosen; ++e) scores[chosen[e]] = kept[e];
    return cost;
}

}  // namespace

extern const InBatchSoftmaxKernels in_batch_softmax_kernels;
const InBatchSoftmaxKernels in_batch_softmax_kernels = {{row<float>}, {row<double>}};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
