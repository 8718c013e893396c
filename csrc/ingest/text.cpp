#include "ingest/text.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "ingest/fields.h"
#include "ingest/line_parser.h"
#include "ingest/plain_rows.h"
#include "ingest/records.h"

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
    if (n < 0) throw Malformed{concat(name, " id must be valid UTF-8 text; ", kNameEncoding)};
    if (write) std::fill(out + n, out + column.width, U'\0');
    return n;
}

// Reads one piece of a text. Plain rows are parsed in bulk, straight into the columns; the others one by one.
class PieceReader {
  public:
    PieceReader(const LogFormat& format, Piece& piece, const char* text_end, const LogColumns& columns, LogPass& found)
        : format_(format),
          piece_(piece),
          text_end_(text_end),
          columns_(columns),
          found_(found),
          plain_(format),
          records_(format.dialect),
          parser_(format, columns.user.mode, columns.item.mode),
          thoughtful_(!format.dialect.comment.empty() || (format.rating < 0 && !format.header.empty())) {
        found_.user_mode = columns.user.mode;
        found_.item_mode = columns.item.mode;
    }

    // Stops where an id does not fit its column's mode, or a field its line; `found` says so.
    void read() {
        for (bool more = true; more;) {
            more = false;
            try {
                read_rest();
            } catch (const Malformed& malformed) {
                const std::int64_t line = piece_.first_line + n_lines_;
                ParseError error(0, line, malformed.problem, next_line(line_begin_, piece_.end));
                if (!format_.keep_going) throw error;
                if (found_.left_out.size() < kMostReported) found_.left_out.push_back(std::move(error));
                ++found_.n_left_out;
                n_lines_ += records_.n_lines;
                more = true;
            }
        }
        piece_.n_rows = n_rows_;
        if (columns_.timestamps == nullptr) return;
        const std::int64_t* const timestamps = columns_.timestamps + piece_.first_row;
        std::int64_t bits = 0;
        for (std::int64_t i = 0; i < n_rows_; ++i) bits |= timestamps[i];
        found_.timestamp_bits = bits;
    }

  private:
    void read_rest() {
        if (columns_.user.mode == IdMode::narrow && columns_.item.mode == IdMode::narrow)
            read_plain(columns_.user.narrow, columns_.item.narrow);
        else if (columns_.user.mode == IdMode::integer && columns_.item.mode == IdMode::integer)
            read_plain(columns_.user.integers, columns_.item.integers);
        const char* fast_end = piece_.begin;  // lines that begin before it may take the fast path
        if (parser_.has_fast_path() && text_end_ - piece_.begin > kReadAhead)
            fast_end = std::min(piece_.end, text_end_ - kReadAhead);
        while (!stopped_ && cursor_ < piece_.end) {
            line_begin_ = cursor_;
            records_.n_lines = 1;
            if (cursor_ < fast_end && !(thoughtful_ && parser_.needs_thought(cursor_, piece_.end)) &&
                parser_.fast_row(cursor_, text_end_, row_)) {
                store_row();
                ++n_lines_;
            } else {
                read_record();
            }
        }
    }

    template <class Integer>
    void read_plain(Integer* users, Integer* items) {
        constexpr int kMostMisses = 32;  // rows in a row that are not plain: none may be, as with dates
        int misses = 0;
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
                misses = n == 0 ? misses + 1 : 0;
                if (misses > kMostMisses) return;
                read_record();
                plain_.skip_to(cursor_);
            }
            if (!stopped_ && cursor_ == block) read_record();  // a line longer than a block
        }
    }

    // One record at the cursor, whatever it is.
    void read_record() {
        line_begin_ = cursor_;
        records_.n_lines = 1;
        const std::string_view record =
            format_.by_record ? records_.next(cursor_, piece_.end) : next_line(cursor_, piece_.end);
        Outcome outcome = Outcome::blank;
        try {
            outcome = parser_.parse(record, row_);
        } catch (const Unclosed&) {
            if (format_.by_record) throw Malformed{kUnclosed};
            found_.spans_lines = true;
            stopped_ = true;
            return;
        }
        if (outcome == Outcome::other_ids) {
            found_.user_mode = parser_.needed_user;
            found_.item_mode = parser_.needed_item;
            stopped_ = true;
            return;
        }
        if (outcome == Outcome::row) store_row();
        n_lines_ += records_.n_lines;
    }

    void store_row() {
        const std::int64_t at = piece_.first_row + n_rows_;
        if (n_rows_ == piece_.capacity) throw ParseError(0, 0, "the file changed while it was read", "");
        found_.user_width = std::max(found_.user_width, store_id(columns_.user, at, row_.user, "user"));
        found_.item_width = std::max(found_.item_width, store_id(columns_.item, at, row_.item, "item"));
        columns_.ratings[at] = format_.rating < 0 ? 1.0F : row_.rating;
        if (columns_.timestamps != nullptr) columns_.timestamps[at] = row_.timestamp;
        found_.has_dates |= row_.is_date;
        ++n_rows_;
    }

    const LogFormat& format_;
    Piece& piece_;
    const char* text_end_;
    const LogColumns& columns_;
    LogPass& found_;
    PlainRows plain_;
    RecordReader records_;
    LineParser parser_;
    bool thoughtful_;  // lines must be looked at before the fast path takes them
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
    LogPass pass;
    pass.user_mode = columns.user.mode;
    pass.item_mode = columns.item.mode;
    const auto complete = [&](const LogPass& one) {
        return one.user_mode == columns.user.mode && one.item_mode == columns.item.mode && !one.spans_lines;
    };
    std::vector<LogPass> found(pieces.size(), pass);
    std::atomic<bool> incomplete{false};
    const auto error = parallel_first_error(n_pieces, n_threads, [&](std::int64_t i, int) {
        if (incomplete.load(std::memory_order_relaxed)) return;
        LogPass& mine = found[static_cast<std::size_t>(i)];
        PieceReader(format, pieces[static_cast<std::size_t>(i)], text_end, columns, mine).read();
        if (!complete(mine)) incomplete.store(true);
    });
    for (LogPass& one : found) {
        pass.user_mode = std::max(pass.user_mode, one.user_mode);
        pass.item_mode = std::max(pass.item_mode, one.item_mode);
        pass.user_width = std::max(pass.user_width, one.user_width);
        pass.item_width = std::max(pass.item_width, one.item_width);
        pass.spans_lines |= one.spans_lines;
        pass.has_dates |= one.has_dates;
        pass.timestamp_bits |= one.timestamp_bits;
        pass.n_left_out += one.n_left_out;
        for (ParseError& bad : one.left_out)
            if (pass.left_out.size() < kMostReported) pass.left_out.push_back(std::move(bad));
    }
    // What makes the pass incomplete comes first: the one that follows sees every line, and every error, again.
    if (error && complete(pass)) throw *error;
    return pass;
}

}  // namespace fastcf::ingest
