// One field of a text line to one value: integers and short decimals. Two kinds of functions stand here.
// `take_…` read at a cursor and advance it, are branch-poor, and may give up on anything unusual; they may read up to
// kReadAhead bytes past the cursor. `parse_…` take a complete field and define what is accepted.
#pragma once

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

namespace fastcf::ingest {

inline constexpr std::int64_t kReadAhead = 48;

inline std::uint64_t load8(const char* p) {
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
    return word;
}

inline bool is_digit(char c) {
    return static_cast<unsigned char>(c - '0') <= 9;
}

namespace detail {

// The value of the first `n` (1 to 8) of eight digits, byte 0 first: pad with leading zeros, then add neighbours in
// pairs, fours and eights.
inline std::uint64_t digits_value(std::uint64_t digits, int n) {
    digits <<= 8 * (8 - n);
    digits = digits * 10 + (digits >> 8);
    constexpr std::uint64_t kPairs = 0x000000FF000000FFULL;
    return ((digits & kPairs) * (100 + (1000000ULL << 32)) + ((digits >> 16) & kPairs) * (1 + (10000ULL << 32))) >> 32;
}

// How many of the eight characters in `digits` (already xor-ed with '0') are digits before the first other one.
// A carry out of a byte that is no digit only reaches later bytes, which are not looked at.
inline int leading_digits(std::uint64_t digits) {
    const std::uint64_t others = ((digits + 0x7676767676767676ULL) | digits) & 0x8080808080808080ULL;
    return others == 0 ? 8 : std::countr_zero(others) >> 3;
}

}  // namespace detail

// A run of 1 to 15 digits without a needless leading zero.
inline bool take_integer(const char*& p, std::int64_t& value) {
    constexpr std::uint64_t kZeros = 0x3030303030303030ULL;
    const std::uint64_t digits = load8(p) ^ kZeros;
    const int n = detail::leading_digits(digits);
    if (n == 0 || (n > 1 && *p == '0')) return false;
    std::uint64_t result = detail::digits_value(digits, n);
    p += n;
    if (n == 8) {
        static constexpr std::uint64_t kPower[8] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
        const std::uint64_t more = load8(p) ^ kZeros;
        const int m = detail::leading_digits(more);
        if (m == 8) return false;
        if (m > 0) result = result * kPower[m] + detail::digits_value(more, m);
        p += m;
    }
    value = static_cast<std::int64_t>(result);
    return true;
}

// A field of n characters as a canonical integer of up to 15 digits, without a sign. Reads ahead.
inline bool plain_integer(const char* begin, std::int32_t n, std::int64_t& value) {
    constexpr std::uint64_t kZeros = 0x3030303030303030ULL;
    constexpr std::uint64_t kTopBits = 0x8080808080808080ULL;
    value = 0;
    if (n < 1 || n > 15) return false;
    std::uint64_t digits = load8(begin) ^ kZeros;
    const bool leading_zero = n > 1 && (digits & 0xff) == 0;
    std::uint64_t others = 0;
    std::int64_t high = 0;
    if (n > 8) {
        const std::uint64_t first = digits << (8 * (16 - n));
        others = (first + 0x7676767676767676ULL) | first;
        high = static_cast<std::int64_t>(detail::digits_value(first, 8)) * 100000000;
        digits = load8(begin + n - 8) ^ kZeros;
    } else {
        digits <<= 8 * (8 - n);
    }
    others |= (digits + 0x7676767676767676ULL) | digits;
    value = high + static_cast<std::int64_t>(detail::digits_value(digits, 8));
    return (others & kTopBits) == 0 && !leading_zero;
}

// Tenths to the nearest float: the ratings of nearly every file are "4", "3.5" or "10".
struct Tenths {
    float value[100];
    constexpr Tenths() : value() {
        for (int i = 0; i < 100; ++i) value[i] = static_cast<float>(i / 10.0);
    }
};
inline constexpr Tenths kTenths;

// "d", "dd" or "d.d"; what follows is the caller's to check.
inline bool take_short_decimal(const char*& p, float& value) {
    if (!is_digit(p[0])) return false;
    int number = p[0] - '0';
    if (p[1] == '.' && is_digit(p[2])) {
        value = kTenths.value[10 * number + (p[2] - '0')];
        p += 3;
        return true;
    }
    p += 1;
    if (is_digit(*p)) number = 10 * number + (*p++ - '0');
    value = static_cast<float>(number);
    return true;
}

// A field of n characters of that kind.
inline bool plain_decimal(const char* begin, std::int32_t n, float& value) {
    if (n == 3) {
        const std::uint64_t text = load8(begin) ^ ('0' | '.' << 8 | '0' << 16);  // now units, 0, tenths
        const std::uint64_t units = text & 0xff;
        const std::uint64_t rest = (text >> 8) & 0xffff;  // tenths << 8
        if (units > 9 || (rest & 0xff) != 0 || rest > 0x9ff) return false;
        value = kTenths.value[10 * units + (rest >> 8)];
        return true;
    }
    const char* p = begin;
    return take_short_decimal(p, value) && p - begin == n;
}

// A canonical integer: an optional minus, no plus, no leading zero (but "0" itself, never "-0"), within 64 bits.
inline bool parse_canonical_integer(std::string_view text, std::int64_t& value) {
    const std::size_t sign = text.size() > 1 && text[0] == '-' ? 1 : 0;
    if (text.size() == sign || !is_digit(text[sign]) || (text[sign] == '0' && text.size() > 1)) return false;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && stop == text.data() + text.size();
}

enum class Decimal { ok, not_a_number, not_finite };

// The float nearest to the double nearest to the text, as `numpy.float32(float(text))` gives it.
inline Decimal parse_decimal(std::string_view text, float& value) {
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    double wide = 0.0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), wide);
    if (error == std::errc::invalid_argument || stop != text.data() + text.size()) return Decimal::not_a_number;
    if (error == std::errc::result_out_of_range)
        wide = std::strtod(std::string(text).c_str(), nullptr);  // 0 or infinite
    value = static_cast<float>(wide);
    return std::isfinite(value) ? Decimal::ok : Decimal::not_finite;
}

}  // namespace fastcf::ingest
