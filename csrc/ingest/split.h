// A line to its fields: the definition of what a separator, a quote and a space mean.
#pragma once

#include <string>
#include <string_view>

namespace fastcf::ingest {

// Thrown for a line that breaks its format; whoever knows the line's number makes a ParseError of it.
struct Malformed {
    std::string problem;
};

class LineSplitter {
  public:
    explicit LineSplitter(std::string separator)
        : separator_(std::move(separator)), quotes_(separator_.size() == 1), runs_(quotes_ && separator_[0] == ' ') {}

    void start(std::string_view line) {
        line_ = trimmed(line, runs_ ? " \t" : "");
        at_ = 0;
        done_ = false;
    }

    // The next field, trimmed and unquoted; false after the last. The view lives until the next call.
    bool next(std::string_view& field) {
        if (done_) return false;
        while (at_ < line_.size() && is_space(line_[at_])) ++at_;
        if (quotes_ && at_ < line_.size() && line_[at_] == '"') {
            field = quoted();
            return true;
        }
        const std::size_t stop = find_separator();
        field = line_.substr(at_, stop - at_);
        while (!field.empty() && is_space(field.back())) field.remove_suffix(1);
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

    bool is_space(char c) const { return (c == ' ' || c == '\t') && separator_.find(c) == std::string::npos; }

    std::size_t find_separator() const {
        const std::size_t stop = separator_.size() == 1 ? line_.find(separator_[0], at_) : line_.find(separator_, at_);
        return stop == std::string_view::npos ? line_.size() : stop;
    }

    void step_over(std::size_t stop) {
        done_ = stop == line_.size();
        at_ = done_ ? stop : stop + separator_.size();
        while (runs_ && at_ < line_.size() && line_[at_] == ' ') ++at_;
    }

    std::string_view quoted() {
        const std::size_t open = at_ + 1;
        std::size_t close = line_.find('"', open);
        if (close == std::string_view::npos) throw Malformed{"a quoted field is not closed on its line"};
        std::string_view field = line_.substr(open, close - open);
        if (close + 1 < line_.size() && line_[close + 1] == '"') {  // doubled quotes: one quote inside the field
            scratch_ = field;
            while (close + 1 < line_.size() && line_[close + 1] == '"') {
                const std::size_t from = close + 1;
                close = line_.find('"', from + 1);
                if (close == std::string_view::npos) throw Malformed{"a quoted field is not closed on its line"};
                scratch_ += line_.substr(from, close - from);
            }
            field = scratch_;
        }
        at_ = close + 1;
        while (at_ < line_.size() && is_space(line_[at_])) ++at_;
        const bool ends = at_ == line_.size() || line_.substr(at_, separator_.size()) == separator_;
        if (!ends) throw Malformed{"a quoted field is followed by other text"};
        step_over(at_);
        return field;
    }

    std::string separator_;
    bool quotes_;  // only one-character separators come with quotes: titles in "::" files begin with a plain one
    bool runs_;
    std::string_view line_;
    std::size_t at_ = 0;
    bool done_ = true;
    std::string scratch_;
};

}  // namespace fastcf::ingest
