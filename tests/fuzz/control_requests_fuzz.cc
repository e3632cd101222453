// Any bytes at the master's control socket, in two pieces: what its handler is given is one line
// of bounded length, and the visitor hears its answer or is dismissed.
#include "async/loop.h"
#include "control.h"
#include "os/files.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#include <sys/socket.h>
#include <unistd.h>

using namespace bulkhead;

namespace
{

std::string door_path()
{
    return "/tmp/control-fuzz." + std::to_string(::getpid());
}

// A connection's bytes arrive, whatever they are, and then its end.
void visit(std::string_view bytes)
{
    auto client = connect_unix(door_path());
    if (!client)
        std::abort();
    const std::size_t half = bytes.size() / 2;
    (void)::send(client->get(), bytes.data(), half, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)::send(client->get(), bytes.data() + half, bytes.size() - half, MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(client->get(), SHUT_WR);
    ReadWatch answered(client->get(), [&] {
        char answer[256];
        const ssize_t size = ::recv(client->get(), answer, sizeof answer, MSG_DONTWAIT);
        if (size <= 0)
            Loop::current().stop();
    });
    answered.enable();
    Timer patience([] { std::abort(); });
    patience.start(Seconds(10));
    Loop::current().run();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static const auto door = ControlDoor::open(door_path(), [](std::string_view request) -> std::string {
        if (request.size() > 2048 || request.find('\n') != std::string_view::npos)
            std::abort();
        return "ok\n";
    });
    if (!door)
        std::abort();
    visit({reinterpret_cast<const char*>(data), size});
    return 0;
}
