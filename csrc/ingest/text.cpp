#include "ingest/text.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "ingest/fields.h"
#include "ingest/line_parser.h"
#include "ingest/plain_rows.h"
#include "ingest/split.h"

namespace fastcf::ingest {

namespace {

// Writes one id; returns how many characters it has (0 for integers).
std::int64_t store_id(const IdColumn& column, std::int64_t at, const Id& id, const char* name) {
    switch (column.mode) {
        case IdMode::narrow:
            column.narrow[at] = static_cast<std::int32_t>(id.integer);
            return 0;
        case IdMode::integer:
            column.integers[at] = id.integer;
            return 0;
        case IdMode::measure:
        case IdMode::text:
            break;
    }
    const bool write = column.mode == IdMode::text;
    char32_t* out = write ? column.characters + at * column.width : nullptr;
    const auto limit = write ? column.width : std::numeric_limits<std::int64_t>::max();
    const std::int64_t n = decode_utf8(id.text, out, limit);
    if (n < 0) throw Malformed{concat(name, " id must be valid UTF-8 text")};
    if (write) std::fill(out + n, out + column.width, U'\0');
    return n;
}

// Reads one piece of a text. Plain rows are parsed in bulk, straight into the columns; the others line by line.
class PieceReader {
  public:
    PieceReader(const LogFormat& format, Piece& piece, const char* text_end, const LogColumns& columns, LogPass& found)
        : piece_(piece),
          text_end_(text_end),
          columns_(columns),
          found_(found),
          plain_(format),
          parser_(format, columns.user.mode, columns.item.mode) {
        found_.user_mode = columns.user.mode;
        found_.item_mode = columns.item.mode;
    }

    // Stops where an id does not fit its column's mode; `found` says so.
    void read() {
        try {
            if (columns_.user.mode == IdMode::narrow && columns_.item.mode == IdMode::narrow)
                read_plain(columns_.user.narrow, columns_.item.narrow);
            else if (columns_.user.mode == IdMode::integer && columns_.item.mode == IdMode::integer)
                read_plain(columns_.user.integers, columns_.item.integers);
            const char* fast_end = piece_.begin;  // lines that begin before it may take the fast path
            if (parser_.has_fast_path() && text_end_ - piece_.begin > kReadAhead)
                fast_end = std::min(piece_.end, text_end_ - kReadAhead);
            while (!stopped_ && cursor_ < piece_.end) {
                line_begin_ = cursor_;
                if (cursor_ < fast_end && parser_.fast_row(cursor_, text_end_, row_)) {
                    store_row();
                    ++n_lines_;
                } else {
                    read_line();
                }
            }
        } catch (const Malformed& malformed) {
            throw ParseError(0, piece_.first_line + n_lines_, malformed.problem, next_line(line_begin_, piece_.end));
        }
        piece_.n_rows = n_rows_;
    }

  private:
    template <class Integer>
    void read_plain(Integer* users, Integer* items) {
        if (!plain_.usable()) return;
        while (!stopped_ && cursor_ < piece_.end) {
            const char* const block = cursor_;
            if (!plain_.index(block, text_end_)) return;  // too near the end of the text
            while (!stopped_ && cursor_ < piece_.end && plain_.has_row()) {
                const std::int64_t at = piece_.first_row + n_rows_;
                std::int64_t* timestamps = columns_.timestamps == nullptr ? nullptr : columns_.timestamps + at;
                const std::int64_t n = plain_.take_rows(piece_.end, piece_.capacity - n_rows_, users + at, items + at,
                                                        columns_.ratings + at, timestamps);
                cursor_ = plain_.cursor();
                n_rows_ += n;
                n_lines_ += n;
                if (cursor_ >= piece_.end || !plain_.has_row()) break;
                read_line();
                plain_.skip_to(cursor_);
            }
            if (!stopped_ && cursor_ == block) read_line();  // a line longer than a block
        }
    }

    // One line at the cursor, whatever it is.
    void read_line() {
        line_begin_ = cursor_;
        const Outcome outcome = parser_.parse(next_line(cursor_, piece_.end), row_);
        if (outcome == Outcome::other_ids) {
            found_.user_mode = parser_.needed_user;
            found_.item_mode = parser_.needed_item;
            stopped_ = true;
            return;
        }
        if (outcome == Outcome::row) store_row();
        ++n_lines_;
    }

    void store_row() {
        if (n_rows_ == piece_.capacity) throw Malformed{"the file changed while it was read"};
        const std::int64_t at = piece_.first_row + n_rows_++;
        found_.user_width = std::max(found_.user_width, store_id(columns_.user, at, row_.user, "user"));
        found_.item_width = std::max(found_.item_width, store_id(columns_.item, at, row_.item, "item"));
        columns_.ratings[at] = row_.rating;
        if (columns_.timestamps != nullptr) columns_.timestamps[at] = row_.timestamp;
    }

    Piece& piece_;
    const char* text_end_;
    const LogColumns& columns_;
    LogPass& found_;
    PlainRows plain_;
    LineParser parser_;
    Row row_;
    const char* cursor_ = piece_.begin;
    const char* line_begin_ = piece_.begin;
    std::int64_t n_rows_ = 0;
    std::int64_t n_lines_ = 0;
    bool stopped_ = false;
};

}  // namespace

LogPass read_log(const LogFormat& format, std::vector<Piece>& pieces, const LogColumns& columns, int n_threads) {
    const auto n_pieces = static_cast<std::int64_t>(pieces.size());
    const char* const text_end = pieces.empty() ? nullptr : pieces.back().end;
    LogPass pass{columns.user.mode, columns.item.mode, 0, 0};
    const auto complete = [&](const LogPass& one) {
        return one.user_mode == columns.user.mode && one.item_mode == columns.item.mode;
    };
    std::vector<LogPass> found(pieces.size(), pass);
    std::atomic<bool> other_ids{false};
    const auto error = parallel_first_error(n_pieces, n_threads, [&](std::int64_t i, int) {
        if (other_ids.load(std::memory_order_relaxed)) return;
        LogPass& mine = found[static_cast<std::size_t>(i)];
        PieceReader(format, pieces[static_cast<std::size_t>(i)], text_end, columns, mine).read();
        if (!complete(mine)) other_ids.store(true);
    });
    for (const LogPass& one : found) {
        pass.user_mode = std::max(pass.user_mode, one.user_mode);
        pass.item_mode = std::max(pass.item_mode, one.item_mode);
        pass.user_width = std::max(pass.user_width, one.user_width);
        pass.item_width = std::max(pass.item_width, one.item_width);
    }
    // Other ids come first: the pass that follows sees every line again, and finds every error again.
    if (error && complete(pass)) throw *error;
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
