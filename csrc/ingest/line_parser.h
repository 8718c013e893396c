// One record of a delimited log of ratings to one row: `fast_row` for the usual line, `parse` for any record.
#pragma once

#include <algorithm>
#include <cmath>
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
#include "ingest/times.h"

namespace fastcf::ingest {

// Whether a text is one that programs write where there is no value.
inline bool stands_for_none(std::string_view text) {
    if (text.size() > 4 || text.size() < 2) return false;
    if (text[0] != 'N' && text[0] != 'n' && text[0] != '\\' && text[0] != '<') return false;
    for (const std::string_view none : {"NULL", "Null", "null", "None", "NaN", "nan", "NA", "N/A", "<NA>", "\\N"})
        if (text == none) return true;
    return false;
}

// Whether a text can be an id of a column: a NUL is a sign of something that is no text.
inline bool is_id_text(std::string_view text, IdType type) {
    if (type == IdType::integer) return is_integer_text(text);
    if (type == IdType::any && stands_for_none(text)) return false;
    return is_utf8(text) && text.find('\0') == std::string_view::npos;
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
    bool is_date = false;  // the timestamp was one
};

enum class Outcome { row, blank, other_ids };

class LineParser {
  public:
    LineParser(const LogFormat& format, const IdColumn& user, const IdColumn& item)
        : user_(user),
          item_(item),
          separator_(format.dialect.separator),
          spaced_dates_(separator_ != " "),
          quotes_(format.dialect.quoting != Quoting::none),
          quote_(format.dialect.quoting == Quoting::none ? ' ' : '"'),
          escape_(format.dialect.escape == '\0' ? ' ' : format.dialect.escape),
          decimal_(format.decimal),
          missing_(format.missing),
          header_(format.header),
          names_(format.names),
          splitter_(format.dialect),
          dialect_(format.dialect) {
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

    // Decimal commas are left to `parse`.
    bool has_fast_path() const { return separator_.size() <= 8 && decimal_ == '.'; }

    // Whether the line may be no row although its fields look like one's: a comment, or the header again.
    bool needs_thought(const char* cursor, const char* end) const {
        const auto begins_with = [&](const std::string& text) {
            return !text.empty() && *cursor == text[0] && std::string_view(cursor, end).starts_with(text);
        };
        return begins_with(dialect_.comment) || begins_with(header_);
    }

    // The usual line, quickly; gives up (false, nothing moved) on anything else. Needs `cursor` < end - kReadAhead.
    bool fast_row(const char*& cursor, const char* end, Row& row) {
        const char* const last = end - kReadAhead;
        const char* p = cursor;
        const std::size_t n = roles_.size();
        for (std::size_t field = 0;;) {
            if (p > last) return false;
            const bool quoted = quotes_ && *p == '"';
            if (quoted) ++p;
            switch (roles_[field]) {
                case Role::user:
                    if (!take_id(p, last, user_, quoted, row.user)) return false;
                    break;
                case Role::item:
                    if (!take_id(p, last, item_, quoted, row.item)) return false;
                    break;
                case Role::rating:
                    if (!take_short_decimal(p, row.rating)) return false;
                    break;
                case Role::timestamp:
                    row.is_date = p[4] == '-';
                    if (row.is_date ? !take_date(p, row.timestamp, spaced_dates_) : !take_integer(p, row.timestamp))
                        return false;
                    break;
                case Role::none:
                    if (!(quoted ? skip_quoted(p, last) : skip_plain(p, last))) return false;
                    break;
            }
            if (quoted && *p++ != '"') return false;
            if (++field == n) break;
            if ((load8(p) & separator_mask_) != separator_word_) return false;
            p += separator_.size();
        }
        if (*p == '\r') ++p;
        if (*p != '\n') return false;
        cursor = p + 1;
        return true;
    }

    // Any record. Throws Malformed, and Unclosed where it ends inside a quoted field.
    Outcome parse(std::string_view record, Row& row) {
        needed_user = user_.mode;
        needed_item = item_.mode;
        if (LineSplitter::is_blank(record) || dialect_.is_comment(record)) return Outcome::blank;
        if (!header_.empty() && record == header_) throw Malformed{concat("the header is repeated; ", kLeaveOut)};
        splitter_.start(record);
        std::string_view field;
        std::size_t n = 0;
        std::string problem;  // of the first malformed field
        for (; splitter_.next(field); ++n) {
            if (n >= roles_.size()) continue;
            try {
                parse_field(roles_[n], field, row);
            } catch (const Malformed& malformed) {
                if (problem.empty()) problem = malformed.problem;
            }
        }
        if (n != roles_.size())
            throw Malformed{concat("expected ", roles_.size(), " fields separated by '", shown(separator_), "'; got ",
                                   n, "; ", kLeaveOut)};
        if (!problem.empty()) throw Malformed{problem};
        return needed_user == user_.mode && needed_item == item_.mode ? Outcome::row : Outcome::other_ids;
    }

    // After Outcome::other_ids: the modes that the line's ids need.
    IdMode needed_user = IdMode::narrow;
    IdMode needed_item = IdMode::narrow;

  private:
    static constexpr const char* kLeaveOut = "on_bad_lines='skip' leaves such lines out";

    static std::string shown(const std::string& separator) { return separator == "\t" ? "\\t" : separator; }

    static std::string shown_value(std::string_view field) {
        constexpr std::size_t kLongest = 60;
        return concat("'", field.substr(0, kLongest), field.size() > kLongest ? "...'" : "'");
    }

    bool take_id(const char*& p, const char* last, const IdColumn& column, bool quoted, Id& id) const {
        if (column.mode != IdMode::text) return take_integer(p, id.integer) && fits_mode(id.integer, column.mode);
        const char* begin = p;
        if (!(quoted ? skip_quoted(p, last) && p > begin : skip_plain(p, last))) return false;
        id.text = {begin, static_cast<std::size_t>(p - begin)};
        return is_id_text(id.text, column.type);
    }

    // Moves over a field to the separator or line end; gives up on an empty one and where spaces, quotes or escapes
    // need thought.
    bool skip_plain(const char*& p, const char* last) const {
        const char first = separator_[0];
        const char* q = p;
        for (; q <= last && *q != first && *q != '\n' && *q != '\r'; ++q)
            if (*q == ' ' || *q == '\t' || *q == quote_ || *q == escape_) return false;
        if (q > last || q == p) return false;
        p = q;
        return true;
    }

    // Moves to the quote that closes a field on its line; gives up on escapes. A doubled quote inside ends it, too, and
    // the field is then followed by neither separator nor line end.
    bool skip_quoted(const char*& p, const char* last) const {
        const char* q = p;
        for (; q <= last && *q != '"'; ++q)
            if (*q == '\n' || *q == '\r' || (escape_ != ' ' && *q == escape_)) return false;
        if (q > last) return false;
        p = q;
        return true;
    }

    static IdMode parse_id(std::string_view field, const IdColumn& column, Id& id, const std::string& name) {
        if (field.empty()) throw Malformed{concat(name, " must not be empty; ", kLeaveOut)};
        if (column.type == IdType::integer && !is_integer_text(field))
            throw Malformed{
                concat(name, " must be an integer, as id_type says; got ", shown_value(field), "; ", kLeaveOut)};
        if (column.type == IdType::any && stands_for_none(field))
            throw Malformed{concat(name, " must not be missing; got ", shown_value(field), "; ", kLeaveOut,
                                   ", id_type='str' takes them as texts")};
        if (column.mode != IdMode::text) {
            if (!parse_canonical_integer(field, id.integer)) return IdMode::text;
            return fits_mode(id.integer, column.mode) ? column.mode : IdMode::integer;
        }
        if (!is_id_text(field, column.type))
            throw Malformed{concat(name, " must be valid UTF-8 text; ", kNameEncoding)};
        id.unquoted = field;
        id.text = id.unquoted;
        return column.mode;
    }

    void parse_field(Role role, std::string_view field, Row& row) {
        switch (role) {
            case Role::user:
                needed_user = parse_id(field, user_, row.user, names_.user);
                break;
            case Role::item:
                needed_item = parse_id(field, item_, row.item, names_.item);
                break;
            case Role::rating:
                parse_rating(field, row.rating);
                break;
            case Role::timestamp:
                parse_timestamp(field, row);
                break;
            case Role::none:
                break;
        }
    }

    void parse_rating(std::string_view field, float& rating) {
        if (std::find(missing_.begin(), missing_.end(), field) != missing_.end()) {
            rating = std::numeric_limits<float>::quiet_NaN();
            return;
        }
        std::string_view number = field;
        if (decimal_ != '.') {
            with_point_ = field.find('.') == std::string_view::npos ? field : "";
            std::replace(with_point_.begin(), with_point_.end(), decimal_, '.');
            number = with_point_;
        }
        switch (parse_decimal(number, rating)) {
            case Decimal::ok:
                return;
            case Decimal::not_a_number:
                throw Malformed{concat(names_.rating, " must be a number; got ", shown_value(field), "; ",
                                       remedy_for_rating(field))};
            case Decimal::not_finite:
                throw Malformed{concat(names_.rating, " must be a finite number; got ", shown_value(field), "; ",
                                       remedy_for_rating(field))};
        }
    }

    std::string remedy_for_rating(std::string_view field) const {
        constexpr std::string_view kNumber = "+-0123456789,";
        if (decimal_ == '.' && field.find(',') != std::string_view::npos &&
            field.find_first_not_of(kNumber) == std::string_view::npos)
            return "decimal=',' reads decimal commas";
        for (const std::string_view text : {"", "-", "?", "NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "NULL", "null",
                                            "Null", "None", "none", "\\N", "."})
            if (field == text) return concat("missing='", field, "' leaves such lines out");
        return kLeaveOut;
    }

    static void parse_timestamp(std::string_view field, Row& row) {
        const Moment moment = parse_moment(field, row.timestamp);
        if (moment == Moment::neither)
            throw Malformed{
                concat("timestamp must be a number, or a date like 2018-07-07 or 2018-07-07T22:09:11Z; got ",
                       shown_value(field), "; timestamp=False leaves timestamps unread")};
        row.is_date = moment == Moment::date;
    }

    IdColumn user_;
    IdColumn item_;
    std::string separator_;
    bool spaced_dates_;
    bool quotes_;  // fields may be quoted
    char quote_;   // a character at which skip_plain gives up anyway where there are none
    char escape_;  // the same
    char decimal_;
    std::vector<std::string> missing_;
    std::string header_;
    ColumnNames names_;
    std::uint64_t separator_word_ = 0;
    std::uint64_t separator_mask_ = 0;
    std::vector<Role> roles_;
    LineSplitter splitter_;
    Dialect dialect_;
    std::string with_point_;  // scratch: a number with a decimal point
};

}  // namespace fastcf::ingest
