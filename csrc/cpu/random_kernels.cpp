#include "cpu/random_kernels.h"

#include "core/mix64.h"
#include "cpu/vec.h"
#include "math/random.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

constexpr int64_t kBlock = 256;  // numbers whose bits wait in the first-level cache

template <class Number>
FASTCF_INLINE void fill(uint64_t key, uint64_t first_word, int64_t n, float* out, Number number) {
    int32_t bits[kBlock];
    for (int64_t begin = 0; begin < n; begin += kBlock, first_word += kBlock / 2) {
        for (int64_t j = 0; j < kBlock / 2; ++j) {
            const uint64_t word = random_word(key, first_word + static_cast<uint64_t>(j));
            bits[2 * j] = static_cast<int32_t>(word);
            bits[2 * j + 1] = static_cast<int32_t>(word >> 32);
        }
        const int64_t count = n - begin < kBlock ? n - begin : kBlock;
        for (int64_t j = 0; j < count; ++j) out[begin + j] = number(bits[j]);
    }
}

void normal(uint64_t key, uint64_t first_word, int64_t n, float scale, float* out) {
    fill(key, first_word, n, out, [=](int32_t bits) { return scale * normal_quantile(symmetric_uniform(bits)); });
}

void uniform(uint64_t key, uint64_t first_word, int64_t n, float scale, float* out) {
    fill(key, first_word, n, out, [=](int32_t bits) { return scale * symmetric_uniform(bits); });
}

}  // namespace

extern const RandomKernels random_kernels;
const RandomKernels random_kernels = {normal, uniform};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
