// smtp: delivers to other servers by SMTP (services smtp and relay).
#include "deliver.h"

#include "worker/worker.h"

int main(int argc, char** argv)
{
    bulkhead::SmtpAgent agent;
    return bulkhead::run_worker(agent, argc, argv);
}
