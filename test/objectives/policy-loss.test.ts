import { declareAgreementTests } from './agreement.ts'
import { plainKernel } from './plain-kernel.ts'

declareAgreementTests('policyLoss over the plain kernel', plainKernel, { loss: 1e-12, gradient: 1e-9 })
