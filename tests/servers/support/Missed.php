<?php

declare(strict_types=1);

namespace PhpSse\Tests\Support;

use RuntimeException;

/** What was waited for has not come to be. */
final class Missed extends RuntimeException
{
}
