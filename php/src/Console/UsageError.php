<?php

declare(strict_types=1);

namespace Sse\Console;

use RuntimeException;

/** A command line that a command does not understand: exit code 2. */
final class UsageError extends RuntimeException
{
}
