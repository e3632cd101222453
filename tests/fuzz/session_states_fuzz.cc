// What a giver that was taken over may say of a session: nothing in it crashes the taker, and no
// line end gets into a log line, a header or a command that is heard again.
#include "ipc/hand_over.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

static void require_one_line(std::string_view text)
{
    if (text.find_first_of("\r\n") != std::string_view::npos)
        std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const ipc::Message message(ipc::Kind::session, std::string(reinterpret_cast<const char*>(data), size));
    (void)ipc::decode_owner_question(message);
    const auto state = ipc::decode_session(message);
    if (!state)
        return 0;
    require_one_line(state->client_address);
    require_one_line(state->server_address);
    require_one_line(state->recipient);
    for (const std::string& command : state->answered)
        require_one_line(command);
    if (state->tls)
        require_one_line(summary(*state->tls) + state->tls->common_name + state->tls->issuer);
    const auto again = ipc::decode_session(ipc::encode(*state));
    if (!again || again->unread != state->unread || again->answered != state->answered)
        std::abort();
    return 0;
}
