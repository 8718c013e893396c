// One line of a delimited log of ratings to one row: `fast_row` for the usual line, `parse` for any.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "ingest/fields.h"
#include "ingest/split.h"
#include "ingest/text.h"

namespace fastcf::ingest {

inline bool is_integer_mode(IdMode mode) {
    return mode == IdMode::narrow || mode == IdMode::integer;
}

inline bool fits_mode(std::int64_t id, IdMode mode) {
    return mode == IdMode::integer || static_cast<std::int32_t>(id) == id;
}

enum class Role : unsigned char { none, user, item, rating, timestamp };

struct Id {
    std::int64_t integer = 0;
    std::string_view text;
    std::string unquoted;  // owns `text` where the splitter's view would not live long enough
};

struct Row {
    Id user;
    Id item;
    float rating = 0.0f;
    std::int64_t timestamp = 0;
};

enum class Outcome { row, blank, other_ids };

// Columns of strings are as wide as their longest one: a stray line must not make millions of rows that wide.
inline constexpr std::size_t kLongestId = 255;

class LineParser {
  public:
    LineParser(const LogFormat& format, IdMode user_mode, IdMode item_mode)
        : user_mode_(user_mode), item_mode_(item_mode), separator_(format.separator), splitter_(format.separator) {
        roles_.assign(static_cast<std::size_t>(format.n_fields), Role::none);
        const auto assign = [&](int field, Role role) {
            if (field >= 0) roles_[static_cast<std::size_t>(field)] = role;
        };
        assign(format.user, Role::user);
        assign(format.item, Role::item);
        assign(format.rating, Role::rating);
        assign(format.timestamp, Role::timestamp);
        if (separator_.size() <= 8) {
            char word[8] = {};
            std::memcpy(word, separator_.data(), separator_.size());
            separator_word_ = load8(word);
            separator_mask_ = ~std::uint64_t{0} >> (64 - 8 * separator_.size());
        }
    }

    bool has_fast_path() const { return separator_.size() <= 8; }

    // The usual line, quickly; gives up (false, nothing moved) on anything else. Needs `cursor` < end - kReadAhead.
    bool fast_row(const char*& cursor, const char* end, Row& row) {
        const char* const last = end - kReadAhead;
        const char* p = cursor;
        const std::size_t n = roles_.size();
        for (std::size_t field = 0;;) {
            if (p > last) return false;
            switch (roles_[field]) {
                case Role::user:
                    if (!take_id(p, last, user_mode_, row.user)) return false;
                    break;
                case Role::item:
                    if (!take_id(p, last, item_mode_, row.item)) return false;
                    break;
                case Role::rating:
                    if (!take_short_decimal(p, row.rating)) return false;
                    break;
                case Role::timestamp:
                    if (!take_integer(p, row.timestamp)) return false;
                    break;
                case Role::none:
                    if (!skip_plain(p, last)) return false;
                    break;
            }
            if (++field == n) break;
            if ((load8(p) & separator_mask_) != separator_word_) return false;
            p += separator_.size();
        }
        if (*p == '\r') ++p;
        if (*p != '\n') return false;
        cursor = p + 1;
        return true;
    }

    // Any line. Throws Malformed.
    Outcome parse(std::string_view line, Row& row) {
        needed_user = user_mode_;
        needed_item = item_mode_;
        if (LineSplitter::is_blank(line)) return Outcome::blank;
        splitter_.start(line);
        std::string_view field;
        std::size_t n = 0;
        for (; splitter_.next(field); ++n) {
            if (n >= roles_.size()) continue;
            switch (roles_[n]) {
                case Role::user:
                    needed_user = parse_id(field, user_mode_, row.user, "user");
                    break;
                case Role::item:
                    needed_item = parse_id(field, item_mode_, row.item, "item");
                    break;
                case Role::rating:
                    parse_rating(field, row.rating);
                    break;
                case Role::timestamp:
                    if (!parse_timestamp(field, row.timestamp))
                        throw Malformed{concat("timestamp must be an integer or a date YYYY-MM-DD; got '", field, "'")};
                    break;
                case Role::none:
                    break;
            }
        }
        if (n != roles_.size())
            throw Malformed{
                concat("expected ", roles_.size(), " fields separated by '", shown(separator_), "'; got ", n)};
        return needed_user == user_mode_ && needed_item == item_mode_ ? Outcome::row : Outcome::other_ids;
    }

    // After Outcome::other_ids: the modes that the line's ids need.
    IdMode needed_user = IdMode::narrow;
    IdMode needed_item = IdMode::narrow;

  private:
    static std::string shown(const std::string& separator) { return separator == "\t" ? "\\t" : separator; }

    bool take_id(const char*& p, const char* last, IdMode mode, Id& id) const {
        if (is_integer_mode(mode)) return take_integer(p, id.integer) && fits_mode(id.integer, mode);
        const char* begin = p;
        if (!skip_plain(p, last)) return false;
        id.text = {begin, static_cast<std::size_t>(p - begin)};
        return true;
    }

    // Moves over a field to the separator or line end; gives up on an empty one and where spaces or quotes need
    // thought.
    bool skip_plain(const char*& p, const char* last) const {
        const char first = separator_[0];
        const char* q = p;
        for (; q <= last && *q != first && *q != '\n' && *q != '\r'; ++q)
            if (*q == ' ' || *q == '\t' || *q == '"') return false;
        if (q > last || q == p) return false;
        p = q;
        return true;
    }

    static IdMode parse_id(std::string_view field, IdMode mode, Id& id, const char* name) {
        if (field.empty()) throw Malformed{concat(name, " id must not be empty")};
        if (is_integer_mode(mode)) {
            if (!parse_canonical_integer(field, id.integer)) return IdMode::measure;
            return fits_mode(id.integer, mode) ? mode : IdMode::integer;
        }
        id.unquoted = field;
        id.text = id.unquoted;
        if (id.text.size() > kLongestId)
            throw Malformed{concat(name, " id must have at most ", kLongestId, " bytes; got ", id.text.size())};
        return mode;
    }

    static void parse_rating(std::string_view field, float& rating) {
        switch (parse_decimal(field, rating)) {
            case Decimal::ok:
                return;
            case Decimal::not_a_number:
                throw Malformed{concat("rating must be a number; got '", field, "'")};
            case Decimal::not_finite:
                throw Malformed{concat("rating must be a finite number; got '", field, "'")};
        }
    }

    IdMode user_mode_;
    IdMode item_mode_;
    std::string separator_;
    std::uint64_t separator_word_ = 0;
    std::uint64_t separator_mask_ = 0;
    std::vector<Role> roles_;
    LineSplitter splitter_;
};

}  // namespace fastcf::ingest
