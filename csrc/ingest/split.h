// A record of a text to its fields: the definition of what a separator, a quote, an escape and a space mean.
#pragma once

#include <string>
#include <string_view>

namespace fastcf::ingest {

// Thrown for a record that breaks its format; where the number of its line is at hand it becomes a ParseError.
struct Malformed {
    std::string problem;
};

// Thrown for a record that ends inside a quoted field.
struct Unclosed {};
inline constexpr const char* kNameEncoding = "name the file's encoding, such as encoding='latin-1'";
inline constexpr const char* kUnclosed = "a quoted field is not closed; quoting=False takes quotes as text";

// What a quote at the beginning of a field means. none: nothing. line: the field is quoted where its closing quote is
// followed by a separator or the line's end on the same line, otherwise the quote is text. record: the field is quoted
// and may span lines; anything but a separator or a line end behind its closing quote is malformed.
enum class Quoting { none, line, record };

// How a text is cut into records and fields. Lines that begin with `comment` (after spaces) are left out.
struct Dialect {
    std::string separator = ",";
    Quoting quoting = Quoting::record;
    char escape = '\0';   // the character after it is text, wherever it stands; '\0': none
    std::string comment;  // empty: none

    bool spans_lines() const { return quoting == Quoting::record || escape != '\0'; }
    bool is_space(char c) const { return (c == ' ' || c == '\t') && separator.find(c) == std::string::npos; }
    bool is_comment(std::string_view line) const {
        if (comment.empty()) return false;
        const std::size_t begin = line.find_first_not_of(" \t");
        return begin != std::string_view::npos && line.substr(begin).starts_with(comment);
    }
};

class LineSplitter {
  public:
    explicit LineSplitter(const Dialect& dialect)
        : dialect_(dialect),
          runs_(dialect.separator == " "),
          escape_stops_{dialect.separator[0], dialect.escape},
          quote_stops_{'"', dialect.escape} {
        if (dialect.escape == '\0') quote_stops_.pop_back();
    }

    void start(std::string_view record) {
        record_ = runs_ ? trimmed(record, " \t") : record;
        at_ = 0;
        done_ = false;
    }

    // The next field, trimmed and unquoted; false after the last. The view lives until the next call.
    bool next(std::string_view& field) {
        if (done_) return false;
        skip_spaces();
        const bool quote = dialect_.quoting != Quoting::none && at_ < record_.size() && record_[at_] == '"';
        if (quote && take_quoted(field)) return true;
        if (dialect_.escape != '\0') {
            take_escaped(field);
            return true;
        }
        const std::size_t stop = find_separator(at_);
        field = record_.substr(at_, stop - at_);
        while (!field.empty() && dialect_.is_space(field.back())) field.remove_suffix(1);
        step_over(stop);
        return true;
    }

    static bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

  private:
    static std::string_view trimmed(std::string_view text, const char* characters) {
        const std::size_t first = text.find_first_not_of(characters);
        if (first == std::string_view::npos) return {};
        return text.substr(first, text.find_last_not_of(characters) - first + 1);
    }

    void skip_spaces() {
        while (at_ < record_.size() && dialect_.is_space(record_[at_])) ++at_;
    }

    std::size_t find_separator(std::size_t from) const {
        const std::string& separator = dialect_.separator;
        const std::size_t stop =
            separator.size() == 1 ? record_.find(separator[0], from) : record_.find(separator, from);
        return stop == std::string_view::npos ? record_.size() : stop;
    }

    void step_over(std::size_t stop) {
        done_ = stop == record_.size();
        at_ = done_ ? stop : stop + dialect_.separator.size();
        while (runs_ && at_ < record_.size() && record_[at_] == ' ') ++at_;
    }

    // An unquoted field in which any character may be escaped; spaces that are escaped stay.
    void take_escaped(std::string_view& field) {
        scratch_.clear();
        std::size_t kept = 0;  // characters that no trimming may take
        for (std::size_t from = at_;;) {
            std::size_t stop = record_.find_first_of(escape_stops_, from);
            if (stop == std::string_view::npos) stop = record_.size();
            scratch_ += record_.substr(from, stop - from);
            if (stop < record_.size() && record_[stop] == dialect_.escape) {
                if (stop + 1 == record_.size()) throw Malformed{"the line ends in the escape character"};
                scratch_ += record_[stop + 1];
                kept = scratch_.size();
                from = stop + 2;
                continue;
            }
            if (stop == record_.size() || record_.substr(stop).starts_with(dialect_.separator)) {
                while (scratch_.size() > kept && dialect_.is_space(scratch_.back())) scratch_.pop_back();
                field = scratch_;
                step_over(stop);
                return;
            }
            scratch_ += record_[stop];  // the first character of a longer separator, alone
            from = stop + 1;
        }
    }

    // False, and nothing taken, where the quote is text.
    bool take_quoted(std::string_view& field) {
        const bool within_line = dialect_.quoting == Quoting::line;
        scratch_.clear();
        std::size_t from = at_ + 1;
        bool changed = false;
        for (std::size_t i = from;;) {
            i = record_.find_first_of(quote_stops_, i);
            if (i == std::string_view::npos || (record_[i] != '"' && i + 1 == record_.size())) {
                if (within_line) return false;
                throw Unclosed{};
            }
            const bool doubled = record_[i] == '"' && i + 1 < record_.size() && record_[i + 1] == '"';
            if (record_[i] == '"' && !doubled) {
                scratch_ += record_.substr(from, i - from);
                field = changed ? std::string_view(scratch_) : record_.substr(from, i - from);
                return end_quoted(i + 1, within_line);
            }
            scratch_ += record_.substr(from, i - from);  // the character after i is text
            from = i + 1;
            i += 2;
            changed = true;
        }
    }

    bool end_quoted(std::size_t stop, bool within_line) {
        while (stop < record_.size() && dialect_.is_space(record_[stop])) ++stop;
        if (stop < record_.size() && !record_.substr(stop).starts_with(dialect_.separator)) {
            if (within_line) return false;
            throw Malformed{"a quoted field is followed by other text; quoting=False takes quotes as text"};
        }
        step_over(stop);
        return true;
    }

    Dialect dialect_;
    bool runs_;  // a run of separators separates once
    std::string escape_stops_;
    std::string quote_stops_;
    std::string_view record_;
    std::size_t at_ = 0;
    bool done_ = true;
    std::string scratch_;
};

}  // namespace fastcf::ingest
