<?php

declare(strict_types=1);

use App\Application;
use Symfony\Bundle\FrameworkBundle\Console\Application as Console;
use Symfony\Component\Console\Input\ArgvInput;

require __DIR__ . '/loader.php';

exit((new Console(new Application('prod', false)))->run(new ArgvInput()));
