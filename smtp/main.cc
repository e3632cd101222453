// smtp: delivers to other servers by SMTP (services smtp and relay); lmtp, the same program
// under another name, by LMTP.
#include "deliver.h"

#include "worker/worker.h"

#include <string_view>

int main(int argc, char** argv)
{
    const std::string_view program = argc > 0 ? argv[0] : "";
    const bool is_lmtp = program.substr(program.rfind('/') + 1) == "lmtp";
    bulkhead::SmtpAgent agent(is_lmtp ? bulkhead::Protocol::lmtp : bulkhead::Protocol::smtp);
    return bulkhead::run_worker(agent, argc, argv);
}
