// 64 characters at a time are compared with separator and line end at once; the hits become positions. AVX-512 packs
// the positions of 16 characters with one instruction; elsewhere they are written eight at a time, whether there are
// as many or not: that costs less than a mispredicted branch.
#include "ingest/scan_kernels.h"

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace fastcf::ingest::FASTCF_ISA_NAMESPACE {
namespace {

// Bit i says whether text[i] is one of the two bytes, i < 64.
struct Matcher {
#if defined(__AVX512BW__)
    Matcher(char a, char b) : a_(_mm512_set1_epi8(a)), b_(_mm512_set1_epi8(b)) {}
    uint64_t operator()(const char* text) const {
        const __m512i bytes = _mm512_loadu_si512(text);
        return _mm512_cmpeq_epi8_mask(bytes, a_) | _mm512_cmpeq_epi8_mask(bytes, b_);
    }
    __m512i a_, b_;
#elif defined(__AVX2__)
    Matcher(char a, char b) : a_(_mm256_set1_epi8(a)), b_(_mm256_set1_epi8(b)) {}
    uint64_t operator()(const char* text) const { return half(text) | half(text + 32) << 32; }
    uint64_t half(const char* text) const {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
        const __m256i hits = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, a_), _mm256_cmpeq_epi8(bytes, b_));
        return static_cast<uint32_t>(_mm256_movemask_epi8(hits));
    }
    __m256i a_, b_;
#elif defined(__SSE2__)
    Matcher(char a, char b) : a_(_mm_set1_epi8(a)), b_(_mm_set1_epi8(b)) {}
    uint64_t operator()(const char* text) const {
        return quarter(text) | quarter(text + 16) << 16 | quarter(text + 32) << 32 | quarter(text + 48) << 48;
    }
    uint64_t quarter(const char* text) const {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text));
        return static_cast<uint32_t>(
            _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, a_), _mm_cmpeq_epi8(bytes, b_))));
    }
    __m128i a_, b_;
#else
    Matcher(char a, char b) : a_(a), b_(b) {}
    uint64_t operator()(const char* text) const {
        uint64_t bits = 0;
        for (int i = 0; i < 64; ++i) bits |= static_cast<uint64_t>(text[i] == a_ || text[i] == b_) << i;
        return bits;
    }
    char a_, b_;
#endif
};

int64_t count_bits(uint64_t x) {
#if defined(__POPCNT__)
    return __builtin_popcountll(x);
#else
    x -= (x >> 1) & 0x5555555555555555ULL;
    x = (x & 0x3333333333333333ULL) + ((x >> 2) & 0x3333333333333333ULL);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
    return static_cast<int64_t>((x * 0x0101010101010101ULL) >> 56);
#endif
}

uint32_t* find_ends(const char* text, uint32_t size, char separator, uint32_t* out) {
    const Matcher match(separator, '\n');
#if defined(__AVX512F__)
    const __m512i steps = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i sixteen = _mm512_set1_epi32(16);
    __m512i positions = steps;
    for (uint32_t at = 0; at < size; at += 64) {
        uint64_t bits = match(text + at);
        for (int quarter = 0; quarter < 4; ++quarter, bits >>= 16) {
            const auto hits = static_cast<__mmask16>(bits);
            _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(hits, positions));
            out += count_bits(hits);
            positions = _mm512_add_epi32(positions, sixteen);
        }
    }
#else
    constexpr uint64_t kTopBit = uint64_t{1} << 63;  // spares a test for zero
    for (uint32_t at = 0; at < size; at += 64) {
        uint64_t bits = match(text + at);
        for (uint32_t* const next = out + count_bits(bits); out < next; out = out + 8 < next ? out + 8 : next)
            for (int i = 0; i < 8; ++i, bits &= bits - 1)
                out[i] = at + static_cast<uint32_t>(__builtin_ctzll(bits | kTopBit));
    }
#endif
    return out;
}

int64_t count_byte(const char* text, int64_t size, char byte) {
    const Matcher match(byte, byte);
    int64_t count = 0;
    int64_t at = 0;
    for (; at + 64 <= size; at += 64) count += count_bits(match(text + at));
    for (; at < size; ++at) count += text[at] == byte;
    return count;
}

}  // namespace

extern const ScanKernels scan_kernels;
const ScanKernels scan_kernels = {find_ends, count_byte};

}  // namespace fastcf::ingest::FASTCF_ISA_NAMESPACE
