// postconf without its main(): from the command line to the exit status.
#pragma once

namespace bulkhead::postconf
{

int run(int argc, char** argv);

} // namespace bulkhead::postconf
