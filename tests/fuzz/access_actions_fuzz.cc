// Right-hand sides of access tables, and the lists of restrictions that they may name.
#include "access_action.h"

#include "base/result.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace bulkhead;
    const AccessAction action = parse_access_action({reinterpret_cast<const char*>(data), size});
    // A status always fits the code that it goes out with.
    if (action.kind == AccessAction::Kind::reply && !action.dsn.empty())
        ensure(action.dsn[0] == static_cast<char>('0' + action.code / 100), "the class of a status");
    return 0;
}
