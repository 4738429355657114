<?php

declare(strict_types=1);

namespace App\Console;

use Illuminate\Foundation\Console\Kernel as LaravelKernel;

final class Kernel extends LaravelKernel
{
}
