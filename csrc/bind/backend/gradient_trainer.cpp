#include "train/gradient_trainer.h"

#include "bind/backend/optimizer.h"
#include "bind/backend/register.h"
#include "bind/backend/trainer.h"

namespace fastcf::bind {
namespace {

GradientConfig gradient_config(const TrainerConfig& config, const char* caller, const std::string& optimizer,
                               double decay, double second_decay, double epsilon, std::int64_t batch_size) {
    return {config, optimizer_in(optimizer, decay, second_decay, epsilon, 0.0, caller), batch_size};
}

}  // namespace

void register_gradient_trainer(py::module_& module) {
    register_trainer<GradientTrainer>(module, "GradientTrainer", gradient_config, py::arg("optimizer") = "gd",
                                      py::arg("decay") = 0.0, py::arg("second_decay") = 0.0, py::arg("epsilon") = 0.0,
                                      py::arg("batch_size") = 0);
}

}  // namespace fastcf::bind
