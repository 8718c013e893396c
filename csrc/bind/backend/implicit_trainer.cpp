#include "train/implicit_trainer.h"

#include "bind/backend/factors.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "bind/trainer.h"

namespace fastcf::bind {

void register_implicit_trainer(py::module_& module) {
    const char* name = "ImplicitTrainer";
    Keywords<ImplicitConfig> keywords;
    keywords.required("n_factors", &ImplicitConfig::n_factors)
        .required("reg", &ImplicitConfig::reg)
        .required("reg_exponent", &ImplicitConfig::reg_exponent)
        .required("unobserved", &ImplicitConfig::unobserved)
        .optional("cg_steps", &ImplicitConfig::cg_steps)
        .optional("block", &ImplicitConfig::block)
        .optional("n_threads", &ImplicitConfig::n_threads);
    py::class_<ImplicitTrainer> trainer(module, name, py::module_local());
    trainer.def(py::init([name, keywords](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                          const ArrayOrNone<float>& values, std::int64_t n_items,
                                          const Array<std::int64_t>& item_indptr, const Array<std::int32_t>& item_users,
                                          const ArrayOrNone<float>& item_values, const py::kwargs& settings) {
                    const CsrView choices = csr_in(indptr, indices, values, n_items, name);
                    const CsrView by_item = csr_in(item_indptr, item_users, item_values, choices.rows, name);
                    const ImplicitConfig config = keywords.read(settings, name);
                    const ReleasedGil release;
                    return std::make_unique<ImplicitTrainer>(choices, by_item, config);
                }),
                keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("values"),
                py::arg("n_items"), py::kw_only(), py::arg("item_indptr"), py::arg("item_users"),
                py::arg("item_values"));
    const auto parameters = [&](const std::string& method, bool writable, auto use) {
        trainer.def(
            method.c_str(),
            [caller = std::string(name) + "." + method, writable, use](ImplicitTrainer& self, const Array<float>& p,
                                                                       const Array<float>& q) {
                const FactorArrays arrays = factor_arrays(p, q, py::none(), py::none(), writable, caller.c_str());
                const ReleasedGil release;
                use(self, arrays);
            },
            py::arg("user_factors"), py::arg("item_factors"));
    };
    parameters("set_parameters", false,
               [](ImplicitTrainer& self, const FactorArrays& from) { self.set_parameters(from); });
    parameters("get_parameters", true, [](ImplicitTrainer& self, const FactorArrays& to) { self.get_parameters(to); });
    trainer
        .def(
            "gram",
            [](const ImplicitTrainer& self, bool users) {
                const std::int64_t k = self.n_factors();
                py::array_t<double> gram({k, k});
                const MatrixView<double> out{gram.mutable_data(), k, k, k};
                {
                    const ReleasedGil release;
                    self.gram(users, out);
                }
                return gram;
            },
            py::arg("users"))
        .def(
            "update",
            [](ImplicitTrainer& self, bool users, const Array<float>& basis, const Array<float>& spectrum) {
                const char* caller = "ImplicitTrainer.update";
                const auto axes = matrix_in<float>(basis, caller, "basis");
                const auto diagonal = vector_in<float>(spectrum, caller, "spectrum");
                const ReleasedGil release;
                return self.update(users, axes, diagonal);
            },
            py::arg("users"), py::arg("basis"), py::arg("spectrum"))
        .def("squared_error", &ImplicitTrainer::squared_error, py::call_guard<ReleasedGil>());
    register_methods(trainer, name);
}

}  // namespace fastcf::bind
