#include "ingest/records.h"

#include <algorithm>
#include <cstring>

namespace fastcf::ingest {

namespace {

const char* find(const char* begin, const char* end, char byte) {
    const void* found = begin < end ? std::memchr(begin, byte, static_cast<std::size_t>(end - begin)) : nullptr;
    return found == nullptr ? end : static_cast<const char*>(found);
}

}  // namespace

// Returns the line end (or `end`) that ends the record, or null where its quotes do not close.
const char* RecordReader::end_of_record(const char* begin, const char* end) const {
    const std::string_view separator = dialect_.separator;
    const char escape = dialect_.escape;
    const auto at_separator = [&](const char* p) {
        return static_cast<std::size_t>(end - p) >= separator.size() &&
               std::memcmp(p, separator.data(), separator.size()) == 0;
    };
    for (const char* p = begin;;) {
        while (p < end && dialect_.is_space(*p)) ++p;
        if (p < end && *p == '"' && dialect_.quoting == Quoting::record) {
            for (++p;;) {
                p = escape == '\0' ? find(p, end, '"')
                                   : std::find_if(p, end, [&](char c) { return c == '"' || c == escape; });
                if (p >= end) return nullptr;
                if (*p != '"' || (p + 1 < end && p[1] == '"')) {
                    if (end - p < 2) return nullptr;
                    p += 2;
                    continue;
                }
                ++p;
                break;
            }
            while (p < end && dialect_.is_space(*p)) ++p;
            const char* const line_end = std::find_if(p, end, [](char c) { return c != '\r'; });
            if (line_end == end || *line_end == '\n') p = line_end;
            if (p == end || *p == '\n') return p;
            if (!at_separator(p)) return nullptr;
        } else {
            while (p < end && *p != '\n' && !at_separator(p))
                p += escape != '\0' && *p == escape && end - p > 1 ? 2 : 1;
            if (p == end || *p == '\n') return p;
        }
        p += separator.size();
        while (separator == " " && p < end && *p == ' ') ++p;
    }
}

std::string_view RecordReader::next(const char*& cursor, const char* end) {
    const char* const begin = cursor;
    n_lines = 1;
    std::string_view line = next_line(cursor, end);
    if (!spans_) return line;
    const bool may_span = line.find('"') != std::string_view::npos ||
                          (dialect_.escape != '\0' && line.find(dialect_.escape) != std::string_view::npos);
    if (!may_span || dialect_.is_comment(line)) return line;
    const char* const limit = end - begin > kLongestRecord ? begin + kLongestRecord : end;
    const char* stop = end_of_record(begin, limit);
    if (stop == nullptr || (stop == limit && limit != end)) return line;
    if (stop < cursor) return line;
    n_lines += std::count(begin, stop, '\n');
    cursor = stop == end ? end : stop + 1;
    std::string_view record(begin, static_cast<std::size_t>(stop - begin));
    while (!record.empty() && record.back() == '\r') record.remove_suffix(1);
    return record;
}

std::vector<Piece> cut_at_records(const Dialect& dialect, const char* begin, const char* end,
                                  std::int64_t piece_bytes) {
    std::vector<Piece> pieces;
    RecordReader reader(dialect);
    for (const char* cursor = begin; cursor < end;) {
        Piece piece;
        piece.begin = cursor;
        while (cursor < end && cursor - piece.begin < piece_bytes) reader.next(cursor, end);
        piece.end = cursor;
        pieces.push_back(piece);
    }
    return pieces;
}

bool next_record(const Dialect& dialect, const char* text, const char*& cursor, const char* end, std::int64_t& line,
                 Record& record) {
    RecordReader reader(dialect);
    LineSplitter splitter(dialect);
    while (cursor < end) {
        record.begin = cursor - text;
        const std::string_view content = reader.next(cursor, end);
        record.end = cursor - text;
        record.line = line;
        line += reader.n_lines;
        record.fields.clear();
        if (LineSplitter::is_blank(content) || dialect.is_comment(content)) continue;
        splitter.start(content);
        std::string_view field;
        try {
            while (splitter.next(field)) record.fields.emplace_back(field);
        } catch (const Malformed& malformed) {
            throw ParseError(0, record.line, malformed.problem, content);
        } catch (const Unclosed&) {
            throw ParseError(0, record.line, kUnclosed, content);
        }
        return true;
    }
    return false;
}

}  // namespace fastcf::ingest
