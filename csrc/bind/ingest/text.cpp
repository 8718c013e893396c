#include "ingest/text.h"

#include <pybind11/stl.h>

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/ingest/register.h"
#include "bind/ingest/text.h"
#include "bind/ingest/text_ids.h"
#include "core/check.h"
#include "ingest/records.h"
#include "ingest/times.h"

namespace fastcf::bind {

namespace {

using namespace fastcf::ingest;

IdType parse_type(const std::string& name) {
    if (name == "auto") return IdType::any;
    if (name == "int") return IdType::integer;
    check(name == "str", "read_log: id types must be 'auto', 'int' or 'str'; got '", name, "'");
    return IdType::text;
}

// An id column of a log as a NumPy array; its dtype changes as the passes find out what the ids are.
struct IdArray {
    py::array array;
    IdColumn column;

    IdArray(std::int64_t n, IdType type, bool narrow) {
        column.type = type;
        become(type == IdType::text ? IdMode::text : narrow ? IdMode::narrow : IdMode::integer, n);
    }

    // Readies the column for another pass, where the last one needed another mode.
    bool advance(std::int64_t n, IdMode needed) {
        if (needed == column.mode) return false;
        become(needed, n);
        return true;
    }

    ColumnBytes bytes() { return {array.mutable_data(), static_cast<std::int64_t>(array.itemsize())}; }

    // The first n entries: integers, or (UTF-8 bytes, offsets, codes) of texts.
    py::object result(std::int64_t n, const TextTable& texts) const {
        const py::object entries = array[py::slice(0, n, 1)];
        if (column.mode != IdMode::text) return entries;
        return py::make_tuple(bytes_of(texts), offsets_of(texts), entries);
    }

  private:
    void become(IdMode mode, std::int64_t n) {
        const IdType type = column.type;
        column = IdColumn{};
        column.type = type;
        column.mode = mode;
        array = py::array();  // frees the old one first
        array = py::array(py::dtype(mode == IdMode::integer ? "i8" : "i4"), std::vector<py::ssize_t>{n});
        void* data = array.mutable_data();
        if (mode == IdMode::narrow) column.narrow = static_cast<std::int32_t*>(data);
        if (mode == IdMode::integer) column.integers = static_cast<std::int64_t*>(data);
        if (mode == IdMode::text) column.codes = static_cast<std::int32_t*>(data);
    }
};

Quoting parse_quoting(const std::string& name, const char* caller) {
    if (name == "none") return Quoting::none;
    if (name == "line") return Quoting::line;
    check(name == "record", caller, ": quoting must be 'none', 'line' or 'record'; got '", name, "'");
    return Quoting::record;
}

Dialect make_dialect(const std::string& separator, const std::string& quoting, const std::string& escape,
                     const std::string& comment, const char* caller) {
    check(!separator.empty() && separator.find_first_of("\r\n") == std::string::npos, caller,
          ": separator must not be empty or hold line ends");
    check(escape.size() <= 1 && escape.find_first_of("\"\r\n" + separator) == std::string::npos, caller,
          ": escape must be one byte, no quote, separator or line end, or empty");
    check(comment.find_first_of("0123456789+-.\"\r\n") == std::string::npos, caller,
          ": comment must hold no digits, signs, points, quotes or line ends");
    return {separator, parse_quoting(quoting, caller), escape.empty() ? '\0' : escape[0], comment};
}

void check_format(const LogFormat& format) {
    const char* caller = "read_log";
    check(format.n_fields > 0, caller, ": n_fields must be positive; got ", format.n_fields);
    for (const int column : {format.user, format.item})
        check(column >= 0 && column < format.n_fields, caller, ": columns must lie in [0, ", format.n_fields, "); got ",
              column);
    for (const int column : {format.rating, format.timestamp})
        check(column >= -1 && column < format.n_fields, caller, ": columns must lie in [-1, ", format.n_fields,
              "); got ", column);
    check(format.user != format.item && format.user != format.rating && format.item != format.rating &&
              format.timestamp != format.user && format.timestamp != format.item &&
              (format.timestamp != format.rating || format.rating == -1),
          caller, ": columns must differ");
    check(format.decimal == '.' || format.decimal == ',', caller, ": decimal must be '.' or ','; got '", format.decimal,
          "'");
}

py::str decoded(const std::string& bytes) {
    return py::reinterpret_steal<py::str>(
        PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace"));
}

// (line, problem, text) of malformed records.
using Described = py::typing::List<Tuple<py::int_, py::str, py::str>>;

Described described(const std::vector<ParseError>& errors) {
    Described result;
    for (const ParseError& error : errors)
        result.append(py::make_tuple(error.line, decoded(error.what()), decoded(error.text)));
    return result;
}

const char* check_offset(const TextView& view, std::int64_t offset, const char* caller) {
    check(offset >= 0 && offset <= view.size(), caller, ": offset must lie in [0, ", view.size(), "]; got ", offset);
    return view.begin() + offset;
}

// Returns the columns, and what else was found: (timestamp_bits, has_dates, n_left_out, left_out); see LogPass.
Tuple<IdEntries, IdEntries, py::array_t<float>, ArrayOrNone<std::int64_t>,
      Tuple<py::int_, py::bool_, py::int_, Described>>
read_log_arrays(const py::buffer& text, std::int64_t offset, std::int64_t first_line, const std::string& separator,
                int n_fields, const std::array<int, 4>& columns, const std::string& quoting, const std::string& escape,
                const std::string& comment, const std::string& decimal, const std::vector<std::string>& missing,
                const std::array<std::string, 3>& names, const py::bytes& header, bool keep_going,
                const std::array<std::string, 2>& id_types, bool narrow, int n_threads, std::int64_t piece_bytes) {
    const char* const caller = "read_log";
    LogFormat format;
    format.dialect = make_dialect(separator, quoting, escape, comment, caller);
    format.n_fields = n_fields;
    format.user = columns[0];
    format.item = columns[1];
    format.rating = columns[2];
    format.timestamp = columns[3];
    format.decimal = decimal.size() == 1 ? decimal[0] : '\0';
    format.missing = missing;
    format.names = {names[0], names[1], names[2]};
    format.header = header;
    format.keep_going = keep_going;
    format.by_record = escape.size() == 1;  // an escaped line end cannot be told from others line by line
    check_format(format);
    const TextView view(text, caller);
    const char* const begin = check_offset(view, offset, caller);
    check(piece_bytes > 0, caller, ": piece_bytes must be positive; got ", piece_bytes);

    std::vector<Piece> pieces;
    std::int64_t n = 0;
    const auto cut = [&] {
        const ReleasedGil release;
        pieces = format.by_record ? cut_at_records(format.dialect, begin, view.end(), piece_bytes)
                                  : cut_at_lines(begin, view.end(), piece_bytes);
        n = number_lines(pieces, first_line, n_threads);
    };
    cut();
    IdArray users(n, parse_type(id_types[0]), narrow);
    IdArray items(n, parse_type(id_types[1]), narrow);
    py::array_t<float> ratings(n);
    py::array_t<std::int64_t> timestamps(format.timestamp >= 0 ? n : 0);
    LogPass pass;
    for (bool again = true; again;) {
        const LogColumns out{users.column, items.column, ratings.mutable_data(),
                             format.timestamp >= 0 ? timestamps.mutable_data() : nullptr};
        {
            const ReleasedGil release;
            pass = read_log(format, pieces, out, n_threads);
        }
        if (pass.spans_lines) {
            format.by_record = true;
            cut();
            continue;
        }
        again = users.advance(n, pass.user_mode);
        again |= items.advance(n, pass.item_mode);
    }

    std::vector<ColumnBytes> filled{users.bytes(), items.bytes(), {ratings.mutable_data(), sizeof(float)}};
    if (format.timestamp >= 0) filled.push_back({timestamps.mutable_data(), sizeof(std::int64_t)});
    const std::int64_t n_rows = close_gaps(pieces, filled);
    const py::slice rows(0, n_rows, 1);
    const py::tuple found =
        py::make_tuple(pass.timestamp_bits, pass.has_dates, pass.n_left_out, described(pass.left_out));
    return py::make_tuple(users.result(n_rows, pass.users), items.result(n_rows, pass.items), ratings[rows],
                          format.timestamp >= 0 ? py::object(timestamps[rows]) : py::none(), found);
}

using Records = py::typing::List<Tuple<py::int_, py::int_, py::int_, py::typing::List<py::str>>>;

// Records as Python lists, at most `limit` (-1: all): (line, begin, end, fields) of each. Fields that are not UTF-8 are
// malformed, or with `replace` hold U+FFFD. Malformed records are left out with `keep_going`; also returned are how
// many, and (line, problem, text) of the first.
Tuple<Records, py::int_, Described> split_records(const py::buffer& text, std::int64_t offset, std::int64_t first_line,
                                                  const std::string& separator, const std::string& quoting,
                                                  const std::string& escape, const std::string& comment,
                                                  std::int64_t limit, bool keep_going, bool replace) {
    const char* const caller = "split_records";
    constexpr std::int64_t kSignals = 1 << 12;
    const Dialect dialect = make_dialect(separator, quoting, escape, comment, caller);
    const TextView view(text, caller);
    const char* cursor = check_offset(view, offset, caller);
    Records records;
    std::vector<ParseError> left_out;
    std::int64_t n_left_out = 0, line = first_line;
    ingest::Record record;
    for (std::int64_t n = 0; limit < 0 || static_cast<std::int64_t>(records.size()) + n_left_out < limit; ++n) {
        if (n % kSignals == 0 && PyErr_CheckSignals() != 0) throw py::error_already_set();
        try {
            if (!next_record(dialect, view.begin(), cursor, view.end(), line, record)) break;
            py::list fields;
            for (const std::string& field : record.fields) {
                PyObject* decoded_field = PyUnicode_DecodeUTF8(field.data(), static_cast<Py_ssize_t>(field.size()),
                                                               replace ? "replace" : nullptr);
                if (decoded_field == nullptr) {
                    PyErr_Clear();
                    const char* start = view.begin() + record.begin;
                    throw ParseError(0, record.line, concat("the line must be valid UTF-8 text; ", kNameEncoding),
                                     next_line(start, view.end()));
                }
                fields.append(py::reinterpret_steal<py::object>(decoded_field));
            }
            records.append(py::make_tuple(record.line, record.begin, record.end, fields));
        } catch (ParseError& error) {
            if (!keep_going) throw;
            ++n_left_out;
            if (left_out.size() < kMostReported) left_out.push_back(std::move(error));
        }
    }
    return py::make_tuple(records, n_left_out, described(left_out));
}

// Texts to timestamps: (seconds or numbers, timestamp_bits, has_dates), and the entry of the first that is neither (-1:
// none).
Tuple<py::array_t<std::int64_t>, py::int_, py::bool_, py::int_> parse_moments(const std::vector<std::string>& texts) {
    py::array_t<std::int64_t> values(static_cast<py::ssize_t>(texts.size()));
    std::int64_t* const out = values.mutable_data();
    std::int64_t bits = 0, bad = -1;
    bool has_dates = false;
    for (std::size_t i = 0; i < texts.size() && bad < 0; ++i) {
        const Moment moment = parse_moment(texts[i], out[i]);
        has_dates |= moment == Moment::date;
        if (moment == Moment::neither) bad = static_cast<std::int64_t>(i);
        bits |= out[i];
    }
    return py::make_tuple(values, bits, has_dates, bad);
}

}  // namespace

void register_text(py::module_& module) {
    using py::arg;
    register_parse_error(module);
    module.def("read_log", &read_log_arrays, arg("text"), py::kw_only(), arg("offset"), arg("first_line"),
               arg("separator"), arg("n_fields"), arg("columns"), arg("quoting") = "record", arg("escape") = "",
               arg("comment") = "", arg("decimal") = ".", arg("missing") = std::vector<std::string>{},
               arg("names") = std::array<std::string, 3>{"user id", "item id", "rating"}, arg("header") = py::bytes(),
               arg("keep_going") = false, arg("id_types") = std::array<std::string, 2>{"auto", "auto"},
               arg("narrow") = false, arg("n_threads") = 0, arg("piece_bytes") = std::int64_t{1} << 20);
    module.def("split_records", &split_records, arg("text"), py::kw_only(), arg("offset"), arg("first_line"),
               arg("separator"), arg("quoting") = "record", arg("escape") = "", arg("comment") = "",
               arg("limit") = std::int64_t{-1}, arg("keep_going") = false, arg("replace") = false);
    module.def("parse_moments", &parse_moments, arg("texts"));
}

}  // namespace fastcf::bind
