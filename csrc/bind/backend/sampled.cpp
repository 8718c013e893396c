#include "bind/backend/factor_trainer.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "train/sampled_trainer.h"

namespace fastcf::bind {

void register_sampled(py::module_& module) {
    const char* name = "SampledTrainer";
    Keywords<SampledConfig> keywords;
    keywords.required("n_factors", &SampledConfig::n_factors)
        .optional("cost", &SampledConfig::cost)
        .optional("n_drawn", &SampledConfig::n_drawn)
        .optional("popularity_power", &SampledConfig::popularity_power)
        .required("reg", &SampledConfig::reg)
        .required("reg_exponent", &SampledConfig::reg_exponent)
        .required("item_bias", &SampledConfig::item_bias)
        .optional("fixed_items", &SampledConfig::fixed_items)
        .optional("item_blocks", &SampledConfig::item_blocks)
        .required("seed", &SampledConfig::seed)
        .optional("n_threads", &SampledConfig::n_threads);
    register_factor_trainer<SampledTrainer>(module, name)
        .def(py::init([name, keywords](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                       const Array<float>& values, std::int64_t n_items,
                                       const ArrayOrNone<std::int64_t>& item_counts, const py::kwargs& settings) {
                 const CsrView choices = csr_in(indptr, indices, values, n_items, name);
                 const auto counts = optional_vector_in<std::int64_t>(item_counts, name, "item_counts");
                 const SampledConfig config = keywords.read(settings, name);
                 const ReleasedGil release;
                 return std::make_unique<SampledTrainer>(choices, counts, config);
             }),
             keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("n_items"),
             py::kw_only(), py::arg("item_counts") = py::none())
        .def("drawn",
             [](const SampledTrainer& self) {
                 const std::vector<std::int32_t> drawn = self.drawn();
                 return py::array_t<std::int32_t>(static_cast<py::ssize_t>(drawn.size()), drawn.data());
             })
        .def("correction",
             [](const SampledTrainer& self) {
                 const std::vector<float> correction = self.correction();
                 return py::array_t<float>(static_cast<py::ssize_t>(correction.size()), correction.data());
             })
        .def(
            "set_sample",
            [](SampledTrainer& self, const Array<std::int32_t>& users, const Array<std::int32_t>& items,
               const Array<std::int32_t>& drawn, const Array<float>& weights, const Array<float>& correction) {
                const char* caller = "SampledTrainer.set_sample";
                self.set_sample(
                    vector_in<std::int32_t>(users, caller, "users"), vector_in<std::int32_t>(items, caller, "items"),
                    matrix_in<std::int32_t>(drawn, caller, "drawn"), vector_in<float>(weights, caller, "weights"),
                    vector_in<float>(correction, caller, "correction"));
            },
            py::arg("users"), py::arg("items"), py::arg("drawn"), py::arg("weights"), py::arg("correction"))
        .def("sample_cost", &SampledTrainer::sample_cost, py::call_guard<ReleasedGil>());
}

}  // namespace fastcf::bind
