#include "ingest/text.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "ingest/coded_rows.h"
#include "ingest/fields.h"
#include "ingest/line_parser.h"
#include "ingest/plain_rows.h"
#include "ingest/records.h"

namespace fastcf::ingest {

namespace {

void store_id(const IdColumn& column, std::int64_t at, const Id& id, TextDictionary& texts) {
    switch (column.mode) {
        case IdMode::narrow:
            column.narrow[at] = static_cast<std::int32_t>(id.integer);
            break;
        case IdMode::integer:
            column.integers[at] = id.integer;
            break;
        case IdMode::text:
            column.codes[at] = texts.code(id.text);
            break;
    }
}

// The texts that one thread has met.
struct Dictionaries {
    TextDictionary users;
    TextDictionary items;
};

// Reads one piece of a text. Plain rows are parsed in bulk, straight into the columns; the others one by one.
class PieceReader {
  public:
    PieceReader(const LogFormat& format, Piece& piece, const char* text_end, const LogColumns& columns,
                Dictionaries& texts, LogPass& found)
        : format_(format),
          piece_(piece),
          text_end_(text_end),
          columns_(columns),
          texts_(texts),
          found_(found),
          records_(format.dialect),
          parser_(format, columns.user, columns.item),
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
        if (parser_.has_fast_path() && text_end_ - piece_.begin > kReadAhead)
            fast_end_ = std::min(piece_.end, text_end_ - kReadAhead);
        read_blocks();
        while (!stopped_ && cursor_ < piece_.end) read_row();
    }

    // Bulk reading, where the format and the kinds of ids have a way.
    void read_blocks() {
        const IdColumn& user = columns_.user;
        const IdColumn& item = columns_.item;
        if (user.mode == IdMode::text || item.mode == IdMode::text) {
            if (CodedRows::can_read(format_)) read_coded();
        } else if (PlainRows::can_read(format_) && user.mode == item.mode) {
            if (user.mode == IdMode::narrow)
                read_plain(user.narrow, item.narrow);
            else
                read_plain(user.integers, item.integers);
        }
    }

    template <class Integer>
    void read_plain(Integer* users, Integer* items) {
        PlainRows rows(format_);
        read_rows(rows, [&](std::int64_t at, std::int64_t limit) {
            return rows.take_rows(piece_.end, limit, users + at, items + at, columns_.ratings + at, times(at));
        });
    }

    void read_coded() {
        with_sink(columns_.user, texts_.users, [&](auto users) {
            with_sink(columns_.item, texts_.items, [&](auto items) {
                CodedRows rows(format_);
                read_rows(rows, [&](std::int64_t at, std::int64_t limit) {
                    return rows.take_rows(piece_.end, limit, users(at), items(at), columns_.ratings + at, times(at));
                });
            });
        });
    }

    // Calls use(maker), where maker(at) gives the sink of a column from row `at` on.
    template <class Use>
    static void with_sink(const IdColumn& column, TextDictionary& texts, Use use) {
        if (column.mode == IdMode::text)
            use([&](std::int64_t at) { return CodeSink(texts, column.type, column.codes + at); });
        else if (column.mode == IdMode::narrow)
            use([&](std::int64_t at) { return IntegerSink(column.narrow + at); });
        else
            use([&](std::int64_t at) { return IntegerSink(column.integers + at); });
    }

    template <class Rows, class Take>
    void read_rows(Rows& rows, Take take) {
        constexpr int kMostMisses = 32;  // rows in a row that are not plain: none may be, as with dates
        int misses = 0;
        FieldEnds& ends = rows.ends();
        while (!stopped_ && cursor_ < piece_.end) {
            const char* const block = cursor_;
            if (!ends.index(block, text_end_)) return;  // too near the end of the text
            while (!stopped_ && cursor_ < piece_.end && ends.has_row()) {
                const std::int64_t n = take(piece_.first_row + n_rows_, piece_.capacity - n_rows_);
                cursor_ = ends.cursor();
                n_rows_ += n;
                n_lines_ += n;
                if (cursor_ >= piece_.end || !ends.has_row()) break;
                misses = n == 0 ? misses + 1 : 0;
                if (misses == kMostMisses) return;
                read_row();
                ends.skip_to(cursor_);
            }
            if (!stopped_ && cursor_ == block) read_row();  // a line longer than a block
        }
    }

    std::int64_t* times(std::int64_t at) const {
        return columns_.timestamps == nullptr ? nullptr : columns_.timestamps + at;
    }

    // One record at the cursor, the usual line quickly.
    void read_row() {
        line_begin_ = cursor_;
        records_.n_lines = 1;
        if (cursor_ < fast_end_ && !(thoughtful_ && parser_.needs_thought(cursor_, piece_.end)) &&
            parser_.fast_row(cursor_, text_end_, row_)) {
            store_row();
            ++n_lines_;
        } else {
            read_record();
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
        store_id(columns_.user, at, row_.user, texts_.users);
        store_id(columns_.item, at, row_.item, texts_.items);
        columns_.ratings[at] = format_.rating < 0 ? 1.0F : row_.rating;
        if (columns_.timestamps != nullptr) columns_.timestamps[at] = row_.timestamp;
        found_.has_dates |= row_.is_date;
        ++n_rows_;
    }

    const LogFormat& format_;
    Piece& piece_;
    const char* text_end_;
    const LogColumns& columns_;
    Dictionaries& texts_;
    LogPass& found_;
    RecordReader records_;
    LineParser parser_;
    bool thoughtful_;  // lines must be looked at before the fast path takes them
    Row row_;
    const char* fast_end_ = piece_.begin;  // lines that begin before it may take the fast path
    const char* cursor_ = piece_.begin;
    const char* line_begin_ = piece_.begin;
    std::int64_t n_rows_ = 0;
    std::int64_t n_lines_ = 0;
    bool stopped_ = false;
};

// Codes of the threads' dictionaries to those of all texts together, which are returned; `owners` are the threads that
// read the pieces.
TextTable unite_codes(std::vector<TextDictionary>&& dictionaries, const std::vector<Piece>& pieces,
                      const std::vector<int>& owners, std::int32_t* codes, int n_threads) {
    UnitedTexts united = unite_texts(std::move(dictionaries), n_threads);
    parallel_for(static_cast<std::int64_t>(pieces.size()), n_threads, [&](std::int64_t i, int) {
        const Piece& piece = pieces[static_cast<std::size_t>(i)];
        const auto& positions = united.positions[static_cast<std::size_t>(owners[static_cast<std::size_t>(i)])];
        std::int32_t* const own = codes + piece.first_row;
        for (std::int64_t row = 0; row < piece.n_rows; ++row) own[row] = positions[static_cast<std::size_t>(own[row])];
    });
    return std::move(united.texts);
}

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
    std::vector<Dictionaries> texts(std::min(pieces.size(), static_cast<std::size_t>(resolve_threads(n_threads))));
    std::vector<int> owners(pieces.size());
    std::atomic<bool> incomplete{false};
    const auto error = parallel_first_error(n_pieces, n_threads, [&](std::int64_t i, int thread) {
        if (incomplete.load(std::memory_order_relaxed)) return;
        const auto piece = static_cast<std::size_t>(i);
        LogPass& mine = found[piece];
        owners[piece] = thread;
        PieceReader(format, pieces[piece], text_end, columns, texts[static_cast<std::size_t>(thread)], mine).read();
        if (!complete(mine)) incomplete.store(true);
    });
    for (LogPass& one : found) {
        pass.user_mode = std::max(pass.user_mode, one.user_mode);
        pass.item_mode = std::max(pass.item_mode, one.item_mode);
        pass.spans_lines |= one.spans_lines;
        pass.has_dates |= one.has_dates;
        pass.timestamp_bits |= one.timestamp_bits;
        pass.n_left_out += one.n_left_out;
        for (ParseError& bad : one.left_out)
            if (pass.left_out.size() < kMostReported) pass.left_out.push_back(std::move(bad));
    }
    // What makes the pass incomplete comes first: the one that follows sees every line, and every error, again.
    if (!complete(pass)) return pass;
    if (error) throw *error;
    const auto codes_of = [&](const IdColumn& column, TextDictionary Dictionaries::* side) {
        std::vector<TextDictionary> own;
        for (Dictionaries& each : texts) own.push_back(std::move(each.*side));
        return unite_codes(std::move(own), pieces, owners, column.codes, n_threads);
    };
    if (columns.user.mode == IdMode::text) pass.users = codes_of(columns.user, &Dictionaries::users);
    if (columns.item.mode == IdMode::text) pass.items = codes_of(columns.item, &Dictionaries::items);
    return pass;
}

}  // namespace fastcf::ingest
