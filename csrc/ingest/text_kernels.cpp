// 64 characters at a time are compared with separator and line end at once; the hits become positions. AVX-512 packs
// the positions of 16 characters with one instruction; elsewhere they are written eight at a time, whether there are
// as many or not: that costs less than a mispredicted branch.
#include "ingest/text_kernels.h"

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

#if defined(__AVX512BW__) && defined(__AVX512DQ__)

// Eight rows at a time, one field of each in every 64-bit lane. A field of up to seven characters comes with the byte
// before it in one word, which also shows that the field before ended as it should.
template <class Integer>
class RowReader {
  public:
    RowReader(const char* text, const PlainLayout& layout) : text_(text), layout_(layout) {
        for (int r = 0; r < 16; ++r) row_starts_[r] = r * layout.n_fields % 32;
    }

    int64_t read(const uint32_t* ends, int64_t n_rows, const PlainColumns<Integer>& out) {
        const int n_fields = layout_.n_fields;
        const __m512i starts = _mm512_loadu_si512(row_starts_);
        const bool returns = n_rows > 0 && text_[ends[n_fields] - 1] == '\r';
        int64_t row = 0;
        for (; row + 8 <= n_rows; row += 8, ends += 8 * n_fields) {
            __m256i before[4], after[4];
            // All 8 n_fields + 1 positions, in two pairs of registers: one begins one position further.
            const __m512i low = _mm512_loadu_si512(ends), high = _mm512_loadu_si512(ends + 16);
            const __m512i next_low = _mm512_loadu_si512(ends + 1), next_high = _mm512_loadu_si512(ends + 17);
            for (int f = 0; f < n_fields; ++f) {
                const __m512i at = _mm512_add_epi32(starts, _mm512_set1_epi32(f));
                before[f] = _mm512_castsi512_si256(_mm512_permutex2var_epi32(low, at, high));
                after[f] = _mm512_castsi512_si256(_mm512_permutex2var_epi32(next_low, at, next_high));
            }
            bool plain = text_[static_cast<int32_t>(ends[8 * n_fields])] == '\n';
            if (returns) {
                for (int r = 1; r <= 8; ++r) plain &= text_[static_cast<int32_t>(ends[r * n_fields]) - 1] == '\r';
                after[n_fields - 1] = _mm256_sub_epi32(after[n_fields - 1], _mm256_set1_epi32(1));
            }
            bad_ = plain ? 0 : 1;
            const auto field = [&](int f) {
                const char end_before = f == 0 ? '\n' : layout_.separator;
                return Field{before[f], after[f], fetch(before[f], end_before),
                             _mm512_cvtepi32_epi64(
                                 _mm256_sub_epi32(_mm256_sub_epi32(after[f], before[f]), _mm256_set1_epi32(1)))};
            };
            const __m512i user = integer(field(layout_.user));
            const __m512i item = integer(field(layout_.item));
            const __m256 rating = decimal(field(layout_.rating));
            check_fits(user);
            check_fits(item);
            if (n_fields == 4) {
                const __m512i timestamp = integer(field(layout_.timestamp));
                if (bad_ == 0) _mm512_storeu_si512(out.timestamps + row, timestamp);
            }
            if (bad_ != 0) break;
            store(user, out.users + row);
            store(item, out.items + row);
            _mm256_storeu_ps(out.ratings + row, rating);
        }
        return row;
    }

  private:
    struct Field {
        __m256i before;
        __m256i after;
        __m512i text;  // the byte before the field, then its first seven characters; '0' is 0
        __m512i size;
    };

    static __m512i zeros() { return _mm512_set1_epi8('0'); }

    __m512i fetch(__m256i at, char first) {
        const __m512i words = _mm512_i32gather_epi64(at, text_, 1);
        const __m512i difference = _mm512_xor_si512(words, _mm512_set1_epi64(static_cast<unsigned char>(first)));
        bad_ |= _mm512_test_epi64_mask(difference, _mm512_set1_epi64(0xff));
        return _mm512_xor_si512(words, zeros());
    }

    // Eight digits per lane, byte 0 the highest.
    __m512i value(__m512i digits) {
        bad_ |= _mm512_cmpgt_epu8_mask(digits, _mm512_set1_epi8(9));
        const __m512i pairs = _mm512_maddubs_epi16(digits, _mm512_set1_epi16(10 | 1 << 8));
        const __m512i fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(100 | 1 << 16));
        return _mm512_add_epi64(_mm512_mul_epu32(fours, _mm512_set1_epi64(10000)), _mm512_srli_epi64(fours, 32));
    }

    // Canonical and of 1 to 15 digits, as plain_integer of fields.h. A shift by 64 bits or more leaves 0.
    __m512i integer(const Field& field) {
        const __m512i n = field.size;
        const auto bits = [](__m512i bytes) { return _mm512_slli_epi64(bytes, 3); };
        bad_ |= _mm512_cmpgt_epu64_mask(_mm512_sub_epi64(n, _mm512_set1_epi64(1)), _mm512_set1_epi64(14));
        bad_ |= _mm512_mask_testn_epi64_mask(_mm512_cmpgt_epi64_mask(n, _mm512_set1_epi64(1)), field.text,
                                             _mm512_set1_epi64(0xff00));
        const __m512i first = _mm512_srli_epi64(field.text, 8);
        const __mmask8 is_long = _mm512_cmpgt_epi64_mask(n, _mm512_set1_epi64(7));
        const __m512i eight = _mm512_set1_epi64(8);
        __m512i low = _mm512_sllv_epi64(first, bits(_mm512_sub_epi64(eight, n)));
        if (is_long == 0) return value(low);
        const __m512i last = _mm512_mask_i32gather_epi64(zeros(), is_long,
                                                         _mm256_sub_epi32(field.after, _mm256_set1_epi32(8)), text_, 1);
        low = _mm512_mask_xor_epi64(low, is_long, last, zeros());
        const __m512i sixteen = _mm512_set1_epi64(16);
        const __m512i high = _mm512_maskz_sllv_epi64(is_long, first, bits(_mm512_sub_epi64(sixteen, n)));
        return _mm512_add_epi64(_mm512_mul_epu32(value(high), _mm512_set1_epi64(100000000)), value(low));
    }

    // "d", "dd" or "d.d", as plain_decimal of fields.h: tenths below 1,000 are exact, and a quotient is rounded once.
    __m256 decimal(const Field& field) {
        const auto character = [&](int i) {
            return _mm512_and_si512(_mm512_srli_epi64(field.text, static_cast<unsigned>(8 * i)),
                                    _mm512_set1_epi64(0xff));
        };
        const auto is = [&](int n) { return _mm512_cmpeq_epi64_mask(field.size, _mm512_set1_epi64(n)); };
        const __m512i nine = _mm512_set1_epi64(9);
        const __m512i ten = _mm512_set1_epi64(10);
        const __m512i a = character(1), b = character(2), c = character(3);
        const __mmask8 two = is(2), three = is(3);
        bad_ |= static_cast<__mmask8>(~(is(1) | two | three));
        bad_ |= _mm512_cmpgt_epi64_mask(a, nine) | _mm512_mask_cmpgt_epi64_mask(two, b, nine) |
                _mm512_mask_cmpgt_epi64_mask(three, c, nine) |
                _mm512_mask_cmpneq_epi64_mask(three, b, _mm512_set1_epi64('.' ^ '0'));
        __m512i tenths = _mm512_mul_epu32(a, ten);
        tenths = _mm512_mask_add_epi64(tenths, three, tenths, c);
        tenths = _mm512_mask_mul_epu32(tenths, two, _mm512_add_epi64(tenths, b), ten);
        return _mm256_div_ps(_mm256_cvtepi32_ps(_mm512_cvtepi64_epi32(tenths)), _mm256_set1_ps(10.0f));
    }

    void check_fits(__m512i values) {
        if constexpr (sizeof(Integer) == 4) bad_ |= _mm512_cmpgt_epi64_mask(values, _mm512_set1_epi64(0x7fffffff));
    }

    static void store(__m512i values, int32_t* out) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi64_epi32(values));
    }
    static void store(__m512i values, int64_t* out) { _mm512_storeu_si512(out, values); }

    const char* text_;
    PlainLayout layout_;
    int32_t row_starts_[16];
    uint64_t bad_ = 0;  // not 0: something among the eight rows is not plain
};

template <class Integer>
int64_t read_rows(const char* text, const uint32_t* ends, int64_t n_rows, const PlainLayout& layout,
                  const PlainColumns<Integer>& out) {
    return RowReader<Integer>(text, layout).read(ends, n_rows, out);
}
constexpr auto* read_rows_narrow = read_rows<int32_t>;
constexpr auto* read_rows_wide = read_rows<int64_t>;

#else

constexpr decltype(TextKernels::read_rows_narrow) read_rows_narrow = nullptr;
constexpr decltype(TextKernels::read_rows) read_rows_wide = nullptr;

#endif

}  // namespace

extern const TextKernels text_kernels;
const TextKernels text_kernels = {find_ends, count_byte, read_rows_narrow, read_rows_wide};

}  // namespace fastcf::ingest::FASTCF_ISA_NAMESPACE
