#include "ingest/synth.h"

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/ingest/register.h"

namespace fastcf::bind {

namespace {

constexpr const char* kCaller = "make_ratings";

// Fills the caller's arrays; returns the RMSE of the true scores and of the true biases alone.
std::pair<double, double> make_ratings(std::int64_t n_users, std::int64_t n_items, std::int64_t n_ratings,
                                       double popularity, double activity, double choice, double mean,
                                       double user_bias_deviation, double item_bias_deviation, double signal,
                                       double noise, const ArrayOrNone<float>& levels, std::uint64_t seed,
                                       const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                       const Array<float>& values, const ArrayOrNone<std::int64_t>& timestamps,
                                       const Array<float>& user_factors, const Array<float>& item_factors,
                                       const Array<float>& user_bias, const Array<float>& item_bias,
                                       const Array<float>& exposure, int n_threads) {
    ingest::SynthOptions options;
    options.n_users = n_users;
    options.n_items = n_items;
    options.n_ratings = n_ratings;
    options.popularity = popularity;
    options.activity = activity;
    options.choice = choice;
    options.mean = mean;
    options.user_bias = user_bias_deviation;
    options.item_bias = item_bias_deviation;
    options.signal = signal;
    options.noise = noise;
    options.levels = optional_vector_in<float>(levels, kCaller, "levels");
    options.seed = seed;
    ingest::SynthRatings out;
    out.indptr = vector_out<std::int64_t>(indptr, kCaller, "indptr");
    out.indices = vector_out<std::int32_t>(indices, kCaller, "indices");
    out.values = vector_out<float>(values, kCaller, "values");
    if (!timestamps.is_none()) out.timestamps = vector_out<std::int64_t>(timestamps, kCaller, "timestamps");
    out.user_factors = matrix_out<float>(user_factors, kCaller, "user_factors");
    out.item_factors = matrix_out<float>(item_factors, kCaller, "item_factors");
    out.user_bias = vector_out<float>(user_bias, kCaller, "user_bias");
    out.item_bias = vector_out<float>(item_bias, kCaller, "item_bias");
    out.exposure = vector_out<float>(exposure, kCaller, "exposure");
    const ReleasedGil nogil;
    const ingest::SynthError error = ingest::make_ratings(options, out, n_threads);
    return {error.score, error.biases};
}

}  // namespace

void register_synth(py::module_& module) {
    module.def("make_ratings", &make_ratings, py::kw_only(), py::arg("n_users"), py::arg("n_items"),
               py::arg("n_ratings"), py::arg("popularity"), py::arg("activity"), py::arg("choice"), py::arg("mean"),
               py::arg("user_bias_deviation"), py::arg("item_bias_deviation"), py::arg("signal"), py::arg("noise"),
               py::arg("levels"), py::arg("seed"), py::arg("indptr"), py::arg("indices"), py::arg("values"),
               py::arg("timestamps"), py::arg("user_factors"), py::arg("item_factors"), py::arg("user_bias"),
               py::arg("item_bias"), py::arg("exposure"), py::arg("n_threads"));
}

}  // namespace fastcf::bind
