// What a client sends where a TLS handshake is due: any bytes, from a socket that then closes.
#include "base/unique_fd.h"
#include "tls/context.h"

#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace bulkhead;

namespace
{

struct Params : ParamSet {
    tls::CommonParams common{this};
};

// Made for this test and good for nothing else.
constexpr const char* key_and_certificate = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg18gFfbIyJiRBD3P5
GGAfBcx3OoWnrDZgrD+joroFBluhRANCAASNxHZBmwUYL26+BtA8oDxCPFJDbakd
7r8V8ROMMSlKPREJ3pQB6eh7/38c4gAJkmezsERmIxyRtdw2M2G7PjRj
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBhjCCASugAwIBAgIUfZc3uFGv197FJRDkE1wTaW+lGTcwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMZnV6ei5leGFtcGxlMCAXDTI2MTEyMjIwMjI1N1oYDzIxMjYx
MDI5MjAyMjU3WjAXMRUwEwYDVQQDDAxmdXp6LmV4YW1wbGUwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAASNxHZBmwUYL26+BtA8oDxCPFJDbakd7r8V8ROMMSlKPREJ
3pQB6eh7/38c4gAJkmezsERmIxyRtdw2M2G7PjRjo1MwUTAdBgNVHQ4EFgQU8nWo
oEpV9UJyJ99Ue05Cago92SAwHwYDVR0jBBgwFoAU8nWooEpV9UJyJ99Ue05Cago9
2SAwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAxd95y+U+HZVH
uDvGmG9DeekCQ4q7waZd0SJxeXFab0gCIQDCBH08zjPfI2A5rghTSHu7QrcR2FEL
NF68K0lBEUzopw==
-----END CERTIFICATE-----
)";

std::unique_ptr<tls::ServerContext> make_context()
{
    static Params params;
    ::signal(SIGPIPE, SIG_IGN);
    params.common.config_file.set("none");
    params.common.ticket_cipher.set("aes-256-cbc");
    tls::ServerOptions options;
    tls::KeyChain chain;
    chain.keys = key_and_certificate;
    options.certificates.push_back(std::move(chain));
    options.ciphers = "DEFAULT";
    options.service = "fuzz";
    options.session_time = Seconds(100);
    options.ask_certificate = true;
    options.find_server_name = [](std::string_view) -> std::optional<std::string> { return std::nullopt; };
    auto context = tls::ServerContext::open(params.common, std::move(options));
    if (!context)
        std::abort();
    return *std::move(context);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static const auto context = make_context();
    constexpr std::size_t fits = 64 * 1024; // into the socket's buffer
    int ends[2];
    if (size > fits || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
        return 0;
    const UniqueFd near(ends[0]);
    const UniqueFd far(ends[1]);
    if (::send(far.get(), data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size))
        return 0;
    ::shutdown(far.get(), SHUT_WR);
    const auto connection = context->accept(near.get());
    using Step = Transport::Step;
    Step step = connection->handshake();
    if (step == Step::failed && connection->problem().empty())
        std::abort(); // promised: a failure has its words
    if (step != Step::done)
        return 0;
    char block[4096];
    std::size_t got = 0;
    for (int i = 0; i < 100 && step == Step::done; ++i)
        step = connection->read(block, got);
    connection->close();
    return 0;
}
