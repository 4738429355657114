<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use RuntimeException;

/** Why `.apienv` can't be used, in words that have nothing of what is in it. */
final class ConfigProblem extends RuntimeException
{
}
