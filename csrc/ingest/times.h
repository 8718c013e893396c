// A field of text to a moment: numbers, which mean what their column means, and dates, which are seconds since 1970.
#pragma once

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <system_error>

#include "ingest/fields.h"

namespace fastcf::ingest {

enum class Moment { number, date, neither };

// "YYYY-MM-DD", a day of the Gregorian calendar, to Unix seconds at its midnight UTC. `text` holds ten characters.
inline bool parse_day(const char* text, std::int64_t& seconds) {
    for (const int i : {0, 1, 2, 3, 5, 6, 8, 9})
        if (!is_digit(text[i])) return false;
    if (text[4] != '-' || text[7] != '-') return false;
    const auto two = [text](int i) { return 10 * (text[i] - '0') + (text[i + 1] - '0'); };
    const std::chrono::year_month_day day{std::chrono::year{100 * two(0) + two(2)},
                                          std::chrono::month{static_cast<unsigned>(two(5))},
                                          std::chrono::day{static_cast<unsigned>(two(8))}};
    if (!day.ok()) return false;
    seconds = std::int64_t{86400} * std::chrono::sys_days{day}.time_since_epoch().count();
    return true;
}

namespace detail {

// Reads a moment from left to right; every `take` says whether it found what it looks for.
class MomentReader {
  public:
    explicit MomentReader(std::string_view text) : text_(text) {}

    bool at_end() const { return text_.empty(); }
    char peek() const { return text_.empty() ? '\0' : text_.front(); }

    bool take(char c) {
        if (peek() != c) return false;
        text_.remove_prefix(1);
        return true;
    }
    bool take(std::string_view word) {
        if (!text_.starts_with(word)) return false;
        text_.remove_prefix(word.size());
        return true;
    }
    bool take_digits(std::size_t n, int& value) {
        if (text_.size() < n) return false;
        value = 0;
        for (std::size_t i = 0; i < n; ++i) {
            if (!is_digit(text_[i])) return false;
            value = 10 * value + (text_[i] - '0');
        }
        text_.remove_prefix(n);
        return true;
    }
    void skip_digits() {
        while (is_digit(peek())) text_.remove_prefix(1);
    }

  private:
    std::string_view text_;
};

// A day of the Gregorian calendar: YYYY-MM-DD, YYYY/MM/DD; YYYYMMDD only before a time, for alone it is a number.
inline bool take_day(MomentReader& reader, bool& compact, std::int64_t& days) {
    int year = 0, month = 0, day = 0;
    if (!reader.take_digits(4, year)) return false;
    const char separator = reader.peek();
    compact = is_digit(separator);
    if (!compact && !((separator == '-' || separator == '/') && reader.take(separator))) return false;
    if (!reader.take_digits(2, month) || (!compact && !reader.take(separator)) || !reader.take_digits(2, day))
        return false;
    const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    days = date.ok() ? std::chrono::sys_days{date}.time_since_epoch().count() : 0;
    return date.ok();
}

// HH:MM, HH:MM:SS, HHMM, HHMMSS, with a fraction of a second that is dropped.
inline bool take_clock(MomentReader& reader, std::int64_t& seconds) {
    int hour = 0, minute = 0, second = 0;
    if (!reader.take_digits(2, hour)) return false;
    const bool colons = reader.take(':');
    if (!reader.take_digits(2, minute)) return false;
    if (colons ? reader.take(':') : is_digit(reader.peek())) {
        if (!reader.take_digits(2, second)) return false;
        if (reader.peek() == '.' || reader.peek() == ',') {
            reader.take(reader.peek());
            if (!is_digit(reader.peek())) return false;
            reader.skip_digits();
        }
    }
    seconds = std::int64_t{3600} * hour + 60 * minute + second;
    const bool midnight = hour == 24 && minute == 0 && second == 0;
    return (hour < 24 || midnight) && minute < 60 && second <= 60;  // 60: a leap second
}

// Nothing or Z, UTC, GMT (no offset), +HH, +HHMM, +HH:MM.
inline bool take_zone(MomentReader& reader, std::int64_t& offset) {
    offset = 0;
    reader.take(' ');
    if (reader.at_end() || reader.take('Z') || reader.take('z') || reader.take("UTC") || reader.take("GMT"))
        return reader.at_end();
    const bool west = reader.peek() == '-';
    if (!reader.take('+') && !reader.take('-')) return false;
    int hours = 0, minutes = 0;
    if (!reader.take_digits(2, hours)) return false;
    reader.take(':');
    if (!reader.at_end() && !reader.take_digits(2, minutes)) return false;
    offset = (west ? -1 : 1) * (std::int64_t{3600} * hours + 60 * minutes);
    return reader.at_end() && hours < 24 && minutes < 60;
}

}  // namespace detail

// A date, alone or with a time of day and a zone (UTC where there is none), to seconds since 1970, fractions dropped.
inline bool parse_date(std::string_view text, std::int64_t& seconds) {
    detail::MomentReader reader(text);
    std::int64_t days = 0, clock = 0, offset = 0;
    bool compact = false;
    if (!detail::take_day(reader, compact, days)) return false;
    if (reader.at_end()) {
        seconds = 86400 * days;
        return !compact;
    }
    if (!reader.take('T') && !reader.take('t') && !reader.take(' ')) return false;
    if (!detail::take_clock(reader, clock) || !detail::take_zone(reader, offset)) return false;
    seconds = 86400 * days + clock - offset;
    return true;
}

// A number, rounded down to an integer of 64 bits, or a date.
inline Moment parse_moment(std::string_view text, std::int64_t& value) {
    if (parse_date(text, value)) return Moment::date;
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && stop == end) return Moment::number;
    if (error == std::errc::result_out_of_range) return Moment::neither;
    double wide = 0.0;
    const auto [last, problem] = std::from_chars(text.data(), end, wide);
    if (problem != std::errc() || last != end || !(std::abs(wide) < 9.2e18)) return Moment::neither;
    value = static_cast<std::int64_t>(std::floor(wide));
    return Moment::number;
}

// "YYYY-MM-DD" or "YYYY-MM-DD HH:MM:SS" at a cursor, the usual dates of logs. Reads ahead; gives up on all others.
// `spaced`: whether a space may stand before the time, which it may not where it separates fields.
inline bool take_date(const char*& p, std::int64_t& seconds, bool spaced) {
    if (!parse_day(p, seconds)) return false;
    if (p[10] != 'T' && !(spaced && p[10] == ' ')) {
        p += 10;
        return true;
    }
    for (const int i : {11, 12, 14, 15, 17, 18})
        if (!is_digit(p[i])) return false;
    const auto two = [&](int i) { return 10 * (p[i] - '0') + (p[i + 1] - '0'); };
    if (p[13] != ':' || p[16] != ':' || two(11) > 23 || two(14) > 59 || two(17) > 59) return false;
    seconds += std::int64_t{3600} * two(11) + 60 * two(14) + two(17);
    p += 19;
    return true;
}

}  // namespace fastcf::ingest
