#include "ingest/events.h"

#include <cmath>
#include <memory>
#include <mutex>

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/ingest/ids.h"
#include "bind/ingest/register.h"
#include "ingest/integer_dictionary.h"

namespace fastcf::bind {
namespace {

// What Python holds; one thread at a time may use it.
template <class T>
struct Guarded {
    template <class... Arguments>
    explicit Guarded(Arguments... arguments) : object(arguments...) {}
    std::mutex mutex;
    T object;
};
using GuardedEvents = Guarded<EventTable>;
using GuardedDictionary = Guarded<IntegerDictionary>;

void add_events(GuardedEvents& table, const Array<std::int32_t>& users, const Array<std::int32_t>& items,
                const ArrayOrNone<std::int32_t>& kinds, const ArrayOrNone<std::int64_t>& times,
                const ArrayOrNone<double>& durations, const Array<double>& strengths, double least_duration,
                int n_threads) {
    constexpr const char* kCaller = "EventTable.add";
    const auto user_numbers = vector_in<std::int32_t>(users, kCaller, "users");
    const auto item_numbers = vector_in<std::int32_t>(items, kCaller, "items");
    const auto kind_numbers = optional_vector_in<std::int32_t>(kinds, kCaller, "kinds");
    const auto seconds = optional_vector_in<std::int64_t>(times, kCaller, "times");
    const auto lengths = optional_vector_in<double>(durations, kCaller, "durations");
    const auto of_kinds = matrix_in<double>(strengths, kCaller, "strengths");
    EventBatch batch;
    batch.n = user_numbers.size;
    const auto entries_of = [&](const auto& column, const py::object& given, const char* name) {
        check(given.is_none() || column.size == batch.n, kCaller, ": ", name, " must have as many entries as users (",
              batch.n, "); got ", column.size);
        return given.is_none() ? nullptr : column.data;
    };
    batch.users = user_numbers.data;
    batch.items = entries_of(item_numbers, items, "items");
    batch.kinds = entries_of(kind_numbers, kinds, "kinds");
    batch.times = entries_of(seconds, times, "times");
    batch.durations = entries_of(lengths, durations, "durations");
    check(of_kinds.rows > 0 && of_kinds.cols == 3, kCaller, ": strengths must have shape (n_kinds, 3); got (",
          of_kinds.rows, ", ", of_kinds.cols, ")");
    for (std::int64_t i = 0; i < of_kinds.rows * 3; ++i)
        check(std::isfinite(of_kinds.data[i]) && of_kinds.data[i] >= 0.0, kCaller,
              ": strengths must be finite and at least 0; got ", of_kinds.data[i]);
    const EventStrengths by_kind{of_kinds.data, of_kinds.rows, least_duration};
    const ReleasedGil release;
    const std::lock_guard<std::mutex> lock(table.mutex);
    table.object.add(batch, by_kind, n_threads);
}

// Returns (indptr, indices, values, timestamps or None) and leaves the table empty.
Tuple<py::array_t<std::int64_t>, py::array_t<std::int32_t>, py::array_t<float>, ArrayOrNone<std::int64_t>>
events_to_csr(GuardedEvents& table, const Array<std::int32_t>& user_rows, const Array<std::int32_t>& item_rows,
              std::int64_t n_users, std::int64_t n_items, std::int64_t now, bool timed, int n_threads) {
    constexpr const char* kCaller = "EventTable.to_csr";
    const auto rows = vector_in<std::int32_t>(user_rows, kCaller, "user_rows");
    const auto columns = vector_in<std::int32_t>(item_rows, kCaller, "item_rows");
    check(n_users >= 0 && n_users <= kMaxDistinctIds, kCaller, ": n_users must lie in [0, 2^31 - 2]; got ", n_users);
    check(n_items >= 0 && n_items <= kMaxDistinctIds, kCaller, ": n_items must lie in [0, 2^31 - 2]; got ", n_items);
    std::int64_t n = 0;
    {
        const ReleasedGil release;
        const std::lock_guard<std::mutex> lock(table.mutex);
        n = table.object.size(n_threads);
    }
    py::array_t<std::int64_t> indptr(n_users + 1);
    py::array_t<std::int32_t> indices(n);
    py::array_t<float> values(n);
    py::object timestamps = py::none();
    EventRows out{indptr.mutable_data(), indices.mutable_data(), values.mutable_data(), nullptr};
    if (timed) {
        py::array_t<std::int64_t> times(n);
        out.timestamps = times.mutable_data();
        timestamps = times;
    }
    {
        const ReleasedGil release;
        const std::lock_guard<std::mutex> lock(table.mutex);
        check(table.object.size(n_threads) == n, kCaller, ": the table must not change meanwhile");
        table.object.to_csr(rows, columns, n_users, n_items, now, n_threads, out);
    }
    return py::make_tuple(indptr, indices, values, timestamps);
}

std::int64_t latest_event(GuardedEvents& table) {
    const ReleasedGil release;
    const std::lock_guard<std::mutex> lock(table.mutex);
    return table.object.latest();
}

py::array_t<std::int32_t> encode_integers(GuardedDictionary& dictionary, const Array<Any>& ids, int n_threads) {
    const IdArray input = ids_in(ids, "IntegerDictionary.encode", "ids");
    py::array_t<std::int32_t> numbers(input.size);
    std::int32_t* out = numbers.mutable_data();
    {
        const ReleasedGil release;
        const std::lock_guard<std::mutex> lock(dictionary.mutex);
        dictionary.object.encode(input, out, n_threads);
    }
    return numbers;
}

py::array_t<std::int64_t> dictionary_ids(GuardedDictionary& dictionary) {
    std::vector<std::int64_t> ids;
    {
        const ReleasedGil release;  // who holds the mutex may ask for the GIL, to look for signals
        const std::lock_guard<std::mutex> lock(dictionary.mutex);
        ids = dictionary.object.ids();
    }
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(ids.size()), ids.data());
}

}  // namespace

void register_events(py::module_& module) {
    using py::arg;
    py::class_<GuardedEvents>(module, "EventTable")
        .def(py::init([](double half_life) { return std::make_unique<GuardedEvents>(half_life); }),
             arg("half_life") = 0.0)
        .def("add", &add_events, arg("users"), arg("items"), arg("kinds"), arg("times"), arg("durations"),
             arg("strengths"), arg("least_duration") = 0.0, arg("n_threads") = 0)
        .def("latest", &latest_event)
        .def("to_csr", &events_to_csr, arg("user_rows"), arg("item_rows"), arg("n_users"), arg("n_items"), arg("now"),
             arg("timed"), arg("n_threads") = 0);
    py::class_<GuardedDictionary>(module, "IntegerDictionary")
        .def(py::init<>())
        .def("encode", &encode_integers, arg("ids"), arg("n_threads") = 0)
        .def("ids", &dictionary_ids);
}

}  // namespace fastcf::bind
