#include "ingest/text.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/check.h"
#include "ingest/fields.h"
#include "ingest/split.h"

namespace fastcf::ingest {

namespace {

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

enum class Outcome { row, blank, not_an_integer };

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
        not_integer_user = not_integer_item = false;
        if (LineSplitter::is_blank(line)) return Outcome::blank;
        splitter_.start(line);
        std::string_view field;
        std::size_t n = 0;
        for (; splitter_.next(field); ++n) {
            if (n >= roles_.size()) continue;
            switch (roles_[n]) {
                case Role::user:
                    not_integer_user = !parse_id(field, user_mode_, row.user, "user");
                    break;
                case Role::item:
                    not_integer_item = !parse_id(field, item_mode_, row.item, "item");
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
        return not_integer_user || not_integer_item ? Outcome::not_an_integer : Outcome::row;
    }

    bool not_integer_user = false;
    bool not_integer_item = false;

  private:
    static std::string shown(const std::string& separator) { return separator == "\t" ? "\\t" : separator; }

    bool take_id(const char*& p, const char* last, IdMode mode, Id& id) const {
        if (mode == IdMode::integer) return take_integer(p, id.integer);
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

    bool parse_id(std::string_view field, IdMode mode, Id& id, const char* name) const {
        if (field.empty()) throw Malformed{concat(name, " id must not be empty")};
        if (mode == IdMode::integer) return parse_canonical_integer(field, id.integer);
        id.unquoted = field;
        id.text = id.unquoted;
        return true;
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

// Writes one id; returns how many characters it has (0 for integers).
std::int64_t store_id(const IdColumn& column, std::int64_t at, const Id& id, const char* name) {
    if (column.mode == IdMode::integer) {
        column.integers[at] = id.integer;
        return 0;
    }
    const bool write = column.mode == IdMode::text;
    char32_t* out = write ? column.characters + at * column.width : nullptr;
    const auto limit = write ? column.width : std::numeric_limits<std::int64_t>::max();
    const std::int64_t n = decode_utf8(id.text, out, limit);
    if (n < 0) throw Malformed{concat(name, " id must be valid UTF-8 text")};
    if (write) std::fill(out + n, out + column.width, U'\0');
    return n;
}

// One piece of a pass. Stops where an id column in mode `integer` turns out to hold other ids; `found` says so.
void read_piece(LineParser& parser, Piece& piece, const char* text_end, const LogColumns& columns, LogPass& found) {
    Row row;
    const char* fast_end = piece.begin;  // lines that begin before it may take the fast path
    if (parser.has_fast_path() && text_end - piece.begin > kReadAhead)
        fast_end = std::min(piece.end, text_end - kReadAhead);
    std::int64_t n_rows = 0;
    std::int64_t n_lines = 0;
    const char* line_begin = piece.begin;
    try {
        for (const char* cursor = piece.begin; cursor < piece.end; ++n_lines) {
            line_begin = cursor;
            if (cursor >= fast_end || !parser.fast_row(cursor, text_end, row)) {
                const Outcome outcome = parser.parse(next_line(cursor, piece.end), row);
                if (outcome == Outcome::blank) continue;
                if (outcome == Outcome::not_an_integer) {
                    found.user_is_text = parser.not_integer_user;
                    found.item_is_text = parser.not_integer_item;
                    return;
                }
            }
            if (n_rows == piece.capacity) throw Malformed{"the file changed while it was read"};
            const std::int64_t at = piece.first_row + n_rows++;
            found.user_width = std::max(found.user_width, store_id(columns.user, at, row.user, "user"));
            found.item_width = std::max(found.item_width, store_id(columns.item, at, row.item, "item"));
            columns.ratings[at] = row.rating;
            if (columns.timestamps != nullptr) columns.timestamps[at] = row.timestamp;
        }
    } catch (const Malformed& malformed) {
        throw ParseError(0, piece.first_line + n_lines, malformed.problem, next_line(line_begin, piece.end));
    }
    piece.n_rows = n_rows;
}

}  // namespace

LogPass read_log(const LogFormat& format, std::vector<Piece>& pieces, const LogColumns& columns, int n_threads) {
    const auto n_pieces = static_cast<std::int64_t>(pieces.size());
    const char* const text_end = pieces.empty() ? nullptr : pieces.back().end;
    std::vector<LogPass> found(pieces.size());
    std::atomic<bool> other_ids{false};
    const auto error = parallel_first_error(n_pieces, n_threads, [&](std::int64_t i, int) {
        if (other_ids.load(std::memory_order_relaxed)) return;
        LogPass& mine = found[static_cast<std::size_t>(i)];
        LineParser parser(format, columns.user.mode, columns.item.mode);
        read_piece(parser, pieces[static_cast<std::size_t>(i)], text_end, columns, mine);
        if (mine.user_is_text || mine.item_is_text) other_ids.store(true);
    });
    LogPass pass;
    for (const LogPass& one : found) {
        pass.user_is_text |= one.user_is_text;
        pass.item_is_text |= one.item_is_text;
        pass.user_width = std::max(pass.user_width, one.user_width);
        pass.item_width = std::max(pass.item_width, one.item_width);
    }
    // Other ids come first: the pass that follows sees every line again, and finds every error again.
    if (error && !pass.user_is_text && !pass.item_is_text) throw *error;
    return pass;
}

std::vector<std::string> split_line(std::string_view line, const std::string& separator) {
    std::vector<std::string> fields;
    LineSplitter splitter(separator);
    splitter.start(line);
    std::string_view field;
    try {
        while (splitter.next(field)) fields.emplace_back(field);
    } catch (const Malformed& malformed) {
        throw ParseError(0, 0, malformed.problem, line);
    }
    return fields;
}

}  // namespace fastcf::ingest
