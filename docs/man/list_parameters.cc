// Prints every known parameter, one a line: what the manual pages are made from.
//
//     name TAB default TAB type TAB area TAB origin TAB status TAB help
//
// The build runs it; it is not installed.
#include "config/install_paths.h"
#include "config/known_parameters.h"

#include <array>
#include <cstdio>
#include <string>

using namespace bulkhead;

// Where this machine's installation lies is no business of a manual.
static bool is_set_at_installation(const KnownParameter& known)
{
    const InstallPaths& paths = install_paths();
    const auto own = product_default(known.name);
    for (const std::string* path :
         {&paths.command_directory, &paths.config_directory, &paths.daemon_directory, &paths.data_directory,
          &paths.queue_directory, &paths.owner, &paths.setgid_group})
        if (own && own->data() == path->data())
            return true;
    return false;
}

static std::string default_of(const KnownParameter& known)
{
    if (is_set_at_installation(known))
        return "(installation)";
    return std::string(product_default(known.name).value_or(known.default_value));
}

int main()
{
    constexpr std::array<const char*, 5> origins{"builtin", "service", "legacy", "later", "own"};
    const auto print = [](std::string_view text, char end) {
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fputc(end, stdout);
    };
    for (const KnownParameter& known : known_parameters()) {
        print(known.name, '\t');
        print(default_of(known), '\t');
        print(known.type, '\t');
        print(known.area, '\t');
        print(origins[static_cast<std::size_t>(known.origin)], '\t');
        print(status_text(known.status), '\t');
        print(known.help, '\n');
    }
    return std::fflush(stdout) == 0 ? 0 : 1;
}
