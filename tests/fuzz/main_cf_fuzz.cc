// main.cf and the expansion language: any bytes give a Config or an error.
#include "config/config.h"
#include "config/expand.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace bulkhead;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    (void)referenced_names(text);
    auto main = MainCf::parse(text, "main.cf");
    if (!main || main->find("myorigin") != nullptr) // its value may name a file
        return 0;
    const auto config = Config::from(*std::move(main), "/etc/x");
    if (!config)
        return 0;
    for (const auto& [name, setting] : config->main_cf().settings())
        (void)config->expanded(name);
    (void)config->unknown_names();
    return 0;
}
