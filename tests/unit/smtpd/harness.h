// A session of the SMTP server in memory: the client is a thread at the other end of
// a socket pair, cleanup and rewrite are coroutines on sockets in a temporary folder.
#pragma once

#include "policy_service.h"
#include "session.h"

#include "async/scope.h"
#include "config/config.h"
#include "config/main_cf.h"
#include "ipc/channel.h"
#include "os/files.h"

#include <sys/socket.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace bulkhead::tls
{
class Connection;
}

namespace bulkhead::smtpd_test
{

// Answers for cleanup, rewrite and logins: joe with the password secret, and the token good-token; nobody
// can say of broken whether he is a user.  Domains: local.test, alias.test, virtual.test and
// relay.test are of the classes that their names say; broken.test cannot be resolved, gone.test and
// closed.test lead to the error transport.
class FakeServices
{
public:
    FakeServices();
    ~FakeServices();

    std::string path(std::string_view name) const { return folder_ + "/" + std::string(name); }

    // Runs the loop until all conversations are over.
    void finish();

    std::vector<std::string> messages; // records of each finished message
    ipc::CleanupResult result;         // what the next ones get
    unsigned flags = 0;                // of the last message
    int opened = 0;
    bool drops = false; // closes the connection instead of answering the end

private:
    void listen(const char* name, Task<> (*serve)(FakeServices* self, UniqueFd fd));
    static Task<> serve_rewrite(FakeServices* self, UniqueFd fd);
    static Task<> serve_cleanup(FakeServices* self, UniqueFd fd);
    static Task<> serve_auth(FakeServices* self, UniqueFd fd);

    std::string folder_;
    Scope scope_;
    std::vector<UniqueFd> sockets_;
    std::vector<std::unique_ptr<ReadWatch>> watches_;
};

// The client's side, blocking, with a limit of five seconds for each line.
class BlockingClient
{
public:
    explicit BlockingClient(int fd);
    ~BlockingClient();

    // A line without its end; nullopt when the connection ended.
    std::optional<std::string> read_line();
    std::string read_reply(); // all lines of it, joined by '\n'
    void send(std::string_view bytes);
    void unread(const std::string& line) { pending_ = line + "\r\n" + pending_; }

    // The client's part of a TLS handshake; false: it has failed.
    bool start_tls();
    // A whole exchange of AUTH; its last reply.
    std::string log_in(const std::string& mechanism, const std::string& user, const std::string& password);
    std::string say(std::string_view line) // one command, its reply
    {
        send(std::string(line) + "\r\n");
        return read_reply();
    }

private:
    ssize_t receive(char* room, std::size_t size);

    int fd_;
    std::string pending_;
    std::unique_ptr<tls::Connection> tls_;
};

// Two ends of a connection: of a socket pair, or over the loopback interface.
void open_pair(int* pair, bool network);

struct Harness {
    // settings: main.cf lines on top of the usual ones.
    explicit Harness(const std::string& settings = {});

    // One session with this client.
    void talk(const std::function<void(BlockingClient&)>& client);

    // Settings that are refused: why.
    static std::string refusal(const std::string& settings);

    // All that sessions with these settings share.
    struct Setup {
        explicit Setup(Harness& harness);
        ~Setup();

        Config config;
        ipc::RewriteClient rewriter;
        ipc::Service cleanup;
        ipc::Service flush;
        DiskSpace disk{".", 0, 0};
        std::unique_ptr<Policy> policy;
        ProtocolTables tables;
        std::unique_ptr<PolicyServer> filter;
        std::unique_ptr<ServerTls> tls;
        std::unique_ptr<ServerSasl> sasl;
        SmtpdService service;
    };

    FakeServices services;
    SmtpdParams params;
    const std::string own_settings;               // as main.cf has them
    std::optional<PolicyServerSpec> before_queue; // where smtpd_proxy_filter is
    bool network = false;                         // the client is 127.0.0.1
};

} // namespace bulkhead::smtpd_test
