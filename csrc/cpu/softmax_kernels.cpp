#include "cpu/softmax_kernels.h"

#include "cpu/vec.h"
#include "math/loss.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

constexpr int64_t kSums = 16;     // elements side by side, so that the compiler sees loops to turn into vectors
constexpr int64_t kBlock = 1024;  // elements added in T before their sum goes to float64

template <class T>
T shift(const T* bias, int64_t n, T* scores) {
    T most[kSums];
    for (int64_t j = 0; j < kSums; ++j) most[j] = bias == nullptr ? scores[0] : scores[0] + bias[0];
    int64_t c = 0;
    for (; c + kSums <= n; c += kSums)
        for (int64_t j = 0; j < kSums; ++j) {
            const T s = bias == nullptr ? scores[c + j] : scores[c + j] + bias[c + j];
            scores[c + j] = s;
            most[j] = s > most[j] ? s : most[j];
        }
    for (int64_t j = 0; c < n; ++c, ++j) {
        const T s = bias == nullptr ? scores[c] : scores[c] + bias[c];
        scores[c] = s;
        most[j] = s > most[j] ? s : most[j];
    }
    T greatest = most[0];
    for (int64_t j = 1; j < kSums; ++j) greatest = most[j] > greatest ? most[j] : greatest;
    return greatest;
}

template <class T>
double exponentials(T most, int64_t n, T* scores) {
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
        const int64_t end = begin + kBlock < n ? begin + kBlock : n;
        T sums[kSums] = {};
        int64_t c = begin;
        for (; c + kSums <= end; c += kSums)
            for (int64_t j = 0; j < kSums; ++j) {
                const T e = exp_of_negative(scores[c + j] - most);
                scores[c + j] = e;
                sums[j] += e;
            }
        for (int64_t j = 0; c < end; ++c, ++j) {
            const T e = exp_of_negative(scores[c] - most);
            scores[c] = e;
            sums[j] += e;
        }
        for (int64_t width = kSums / 2; width > 0; width /= 2)
            for (int64_t j = 0; j < width; ++j) sums[j] += sums[j + width];
        total += static_cast<double>(sums[0]);
    }
    return total;
}

template <class T>
void multiply(T factor, int64_t n, T* scores) {
    for (int64_t c = 0; c < n; ++c) scores[c] *= factor;
}

template <class T>
constexpr SoftmaxRowKernels<T> kRowKernels = {shift<T>, exponentials<T>, multiply<T>};

}  // namespace

extern const SoftmaxKernels softmax_kernels;
const SoftmaxKernels softmax_kernels = {kRowKernels<float>, kRowKernels<double>};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
