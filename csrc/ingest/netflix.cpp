#include "ingest/netflix.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/check.h"
#include "core/parallel.h"
#include "ingest/fields.h"
#include "ingest/split.h"
#include "ingest/times.h"

namespace fastcf::ingest {

namespace {

// The bytes of a source: the view it has, or the file's content, padded so that reading ahead is safe.
class SourceText {
  public:
    void open(const NetflixSource& source, std::int64_t index) {
        begin = source.begin;
        end = readable_end = source.end;
        if (!source.is_file()) return;
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(source.path.c_str(), "rb"), &std::fclose);
        if (!file) throw ParseError(index, 0, concat("cannot be opened: ", std::strerror(errno)), "");
        std::size_t size = 0;
        for (;;) {
            if (bytes_.size() < size + (1 << 16)) bytes_.resize(2 * size + (1 << 16));
            const std::size_t got = std::fread(bytes_.data() + size, 1, bytes_.size() - size, file.get());
            size += got;
            if (got == 0) break;
        }
        if (std::ferror(file.get()) != 0)
            throw ParseError(index, 0, concat("cannot be read: ", std::strerror(errno)), "");
        bytes_.resize(std::max(bytes_.size(), size + kReadAhead));
        std::memset(bytes_.data() + size, 0, static_cast<std::size_t>(kReadAhead));
        begin = bytes_.data();
        end = begin + size;
        readable_end = end + kReadAhead;
    }

    const char* begin = nullptr;
    const char* end = nullptr;
    const char* readable_end = nullptr;

  private:
    std::vector<char> bytes_;  // reused from file to file
};

bool parse_heading(std::string_view line, std::int64_t& movie) {
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    if (line.empty() || line.back() != ':') return false;
    line.remove_suffix(1);
    return parse_canonical_integer(line, movie) && movie > 0 && movie <= std::numeric_limits<std::int32_t>::max();
}

// The last heading of a piece, or 0. Where the line with the last colon is no heading, the piece is malformed, and
// reading it says so.
std::int64_t last_heading(const Piece& piece) {
    const char* colon = piece.end;
    while (colon > piece.begin && colon[-1] != ':') --colon;
    if (colon == piece.begin) return 0;
    const char* begin = colon;
    while (begin > piece.begin && begin[-1] != '\n') --begin;
    std::int64_t movie = 0;
    return parse_heading(next_line(begin, piece.end), movie) ? movie : 0;
}

struct Row {
    std::int64_t user = 0;
    float rating = 0.0f;
    std::int64_t timestamp = 0;
};

// "customer[,rating][,date]" as it always is; gives up (false, nothing moved) on anything else.
bool fast_row(const char*& cursor, int n_fields, Row& row) {
    const char* p = cursor;
    if (!take_integer(p, row.user)) return false;
    if (n_fields == 3 && (*p++ != ',' || !take_short_decimal(p, row.rating))) return false;
    if (n_fields >= 2) {
        if (*p++ != ',' || !parse_day(p, row.timestamp)) return false;
        p += 10;
    }
    if (*p == '\r') ++p;
    if (*p != '\n') return false;
    cursor = p + 1;
    return true;
}

void parse_row(std::string_view line, int n_fields, LineSplitter& splitter, Row& row) {
    std::string_view fields[3];
    std::string_view field;
    int n = 0;
    for (splitter.start(line); splitter.next(field); ++n)
        if (n < n_fields) fields[n] = field;
    if (n != n_fields)
        throw Malformed{concat("expected \"movie:\" or ", n_fields, " fields separated by ','; got ", n)};
    if (!parse_canonical_integer(fields[0], row.user))
        throw Malformed{concat("customer must be an integer; got '", fields[0], "'")};
    if (n_fields == 3 && parse_decimal(fields[1], row.rating) != Decimal::ok)
        throw Malformed{concat("rating must be a finite number; got '", fields[1], "'")};
    const std::string_view date = fields[n_fields - 1];
    if (n_fields >= 2 && (date.size() != 10 || !parse_day(date.data(), row.timestamp)))
        throw Malformed{concat("date must be YYYY-MM-DD; got '", date, "'")};
}

// Fills the rows of one piece, whose text is [piece.begin, piece.end).
void read_piece(NetflixPiece& task, int n_fields, const char* readable_end, const NetflixColumns& columns) {
    Piece& piece = task.piece;
    LineSplitter splitter({",", Quoting::line, '\0', ""});
    std::int64_t movie = task.movie;
    std::int64_t n_lines = 0;
    std::int64_t n_rows = 0;
    Row row;
    const char* line_begin = piece.begin;
    try {
        for (const char* cursor = piece.begin; cursor < piece.end; ++n_lines) {
            line_begin = cursor;
            if (readable_end - cursor < kReadAhead || !fast_row(cursor, n_fields, row)) {
                const std::string_view line = next_line(cursor, piece.end);
                if (LineSplitter::is_blank(line)) continue;
                if (parse_heading(line, movie)) continue;
                parse_row(line, n_fields, splitter, row);
            }
            if (movie == 0) throw Malformed{"a line \"movie:\" must come first"};
            if (row.user <= 0 || row.user > std::numeric_limits<std::int32_t>::max())
                throw Malformed{concat("customer must lie in [1, 2147483647]; got ", row.user)};
            // A malformed line with several colons, still to come, may have left too few rows.
            if (n_rows < piece.capacity) {
                const std::int64_t at = piece.first_row + n_rows;
                columns.users[at] = static_cast<std::int32_t>(row.user);
                columns.items[at] = static_cast<std::int32_t>(movie);
                if (columns.ratings != nullptr) columns.ratings[at] = row.rating;
                if (columns.timestamps != nullptr) columns.timestamps[at] = row.timestamp;
            }
            ++n_rows;
        }
        if (n_rows > piece.capacity) throw Malformed{"the file changed while it was read"};
    } catch (const Malformed& malformed) {
        const std::string_view line = next_line(line_begin, piece.end);
        throw ParseError(task.source, piece.first_line + n_lines, malformed.problem, line);
    }
    piece.n_rows = n_rows;
}

}  // namespace

std::int64_t plan_netflix(const std::vector<NetflixSource>& sources, std::int64_t piece_bytes, int n_threads,
                          std::vector<NetflixPiece>& pieces) {
    pieces.clear();
    for (std::size_t i = 0; i < sources.size(); ++i) {
        const auto source = static_cast<std::int64_t>(i);
        if (sources[i].is_file())
            pieces.push_back({source, 0, Piece{}});
        else
            for (const Piece& piece : cut_at_lines(sources[i].begin, sources[i].end, piece_bytes))
                pieces.push_back({source, 0, piece});
    }
    const auto n_pieces = static_cast<std::int64_t>(pieces.size());
    std::vector<std::int64_t> n_lines(pieces.size());
    std::vector<std::int64_t> headings(pieces.size());
    std::vector<SourceText> texts(static_cast<std::size_t>(resolve_threads(n_threads)));
    const auto error = parallel_first_error(n_pieces, n_threads, [&](std::int64_t i, int thread) {
        const auto at = static_cast<std::size_t>(i);
        Piece piece = pieces[at].piece;
        const NetflixSource& source = sources[static_cast<std::size_t>(pieces[at].source)];
        if (source.is_file()) {
            SourceText& text = texts[static_cast<std::size_t>(thread)];
            text.open(source, pieces[at].source);
            piece.begin = text.begin;
            piece.end = text.end;
        }
        if (piece.begin == piece.end) return;
        n_lines[at] = count_byte(piece.begin, piece.end, '\n') + (piece.end[-1] != '\n' ? 1 : 0);
        pieces[at].piece.capacity = std::max<std::int64_t>(0, n_lines[at] - count_byte(piece.begin, piece.end, ':'));
        if (!source.is_file()) headings[at] = last_heading(piece);
    });
    if (error) throw *error;
    std::int64_t row = 0;
    for (std::size_t at = 0; at < pieces.size(); ++at) {
        NetflixPiece& task = pieces[at];
        task.piece.first_row = row;
        row += task.piece.capacity;
        if (at == 0 || pieces[at - 1].source != task.source) continue;
        task.piece.first_line = pieces[at - 1].piece.first_line + n_lines[at - 1];
        task.movie = headings[at - 1] != 0 ? headings[at - 1] : pieces[at - 1].movie;
    }
    return row;
}

std::int64_t read_netflix(const std::vector<NetflixSource>& sources, int n_fields, std::vector<NetflixPiece>& pieces,
                          const NetflixColumns& columns, int n_threads) {
    std::vector<SourceText> texts(static_cast<std::size_t>(resolve_threads(n_threads)));
    const auto n_pieces = static_cast<std::int64_t>(pieces.size());
    const auto error = parallel_first_error(n_pieces, n_threads, [&](std::int64_t i, int thread) {
        NetflixPiece& task = pieces[static_cast<std::size_t>(i)];
        const NetflixSource& source = sources[static_cast<std::size_t>(task.source)];
        SourceText& text = texts[static_cast<std::size_t>(thread)];
        text.open(source, task.source);
        if (source.is_file()) {
            task.piece.begin = text.begin;
            task.piece.end = text.end;
        }
        read_piece(task, n_fields, text.readable_end, columns);
    });
    if (error) throw *error;
    std::vector<Piece> filled;
    for (const NetflixPiece& task : pieces) filled.push_back(task.piece);
    std::vector<ColumnBytes> bytes{{columns.users, sizeof(std::int32_t)}, {columns.items, sizeof(std::int32_t)}};
    if (columns.ratings != nullptr) bytes.push_back({columns.ratings, sizeof(float)});
    if (columns.timestamps != nullptr) bytes.push_back({columns.timestamps, sizeof(std::int64_t)});
    return close_gaps(filled, bytes);
}

}  // namespace fastcf::ingest
